"""Parents as transformers loads them, with their adapters: what every merge and calibration begins with."""

from __future__ import annotations

from dataclasses import replace

from search_spaces import Parent, Recipe
from workers.checkpoints.adapters import read_adapter, with_adapter
from workers.checkpoints.hub.parent_files import fetch_parent
from workers.checkpoints.inspection import inspect_checkpoint, is_tied
from workers.checkpoints.layout import Layout, untied_config
from workers.compatibility.stored_names import as_loaded
from workers.errors import CheckpointError, MismatchError


def load_parents(recipe: Recipe) -> dict[Parent, Layout]:
    """Returns the layouts of all parents that a recipe needs, its tokenizer's included.

    What lies on the Hub is downloaded.

    Raises:
        CheckpointError: One is missing or broken.
        MismatchError: An adapter was made for another model.
    """
    needed = dict.fromkeys((*recipe.all_parents, recipe.tokenizer_owner))
    return {parent: load_parent(parent) for parent in needed}


def load_parent(parent: Parent) -> Layout:
    """Returns the layout of a parent whose files are here, downloaded once where they lie on the Hub.

    An adapter changes the model that transformers loads, not the file: a head that it brings is one of
    its own, beside embeddings that were tied.

    Raises:
        CheckpointError: It is missing, cannot be reached, is broken, not data, or not complete.
        MismatchError: Its adapter was made for another model.
    """
    if parent.adapter_as_parent is None:
        return as_loaded(inspect_checkpoint(parent, fetch_parent(parent)))
    model = load_parent(parent.without_adapter)
    adapter = read_adapter(parent.adapter_as_parent, fetch_parent(parent.adapter_as_parent))
    adapted = _tied_again(with_adapter(_with_own_head(model), adapter, parent))
    try:
        stored = with_adapter(model.stored or model, adapter, parent)
    except MismatchError:  # the files' own names are not those that the adapter was made for
        return adapted
    return replace(adapted, stored=stored)


def _with_own_head(layout: Layout) -> Layout:
    """Returns a tied model with its table under both names: an adapter changes modules, not tensors."""
    if not layout.tables or layout.head is None or layout.head in layout.tensors:
        return layout
    table = layout.tensors[layout.tables[0]]
    head = replace(table, stored_as=table.stored_as or layout.tables[0])
    return replace(
        layout, tensors={**layout.tensors, layout.head: head}, tables=(*layout.tables, layout.head)
    )


def _tied_again(layout: Layout) -> Layout:
    """Returns the layout with its table once where an adapter left both names the same, else untied.

    Raises:
        CheckpointError: They differ, in a model that reads a head of its own otherwise than a tied one.
    """
    if not layout.tables or layout.head is None or not is_tied(replace(layout, tables=None)):
        return layout
    table, head = layout.tensors[layout.tables[0]], layout.tensors[layout.head]
    if replace(head, stored_as=None) == replace(table, stored_as=None) and head.stored_as in (
        layout.tables[0],
        table.stored_as,
    ):
        kept = {name: entry for name, entry in layout.tensors.items() if name != layout.head}
        return replace(layout, tensors=kept, tables=tuple(n for n in layout.tables if n != layout.head))
    if layout.config.get("is_encoder_decoder"):
        detail = "its adapter makes the head differ from the embeddings, which config.json ties"
        raise CheckpointError(str(layout.parent), detail, "untie the model first, and train again")
    return replace(layout, config=untied_config(layout.config))
