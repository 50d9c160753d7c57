"""The language model inside a multimodal model: it alone is merged.

A checkpoint whose configuration describes other parts too, nested (`text_config`) or flat (`vision_config`
beside the language model's own entries), holds a language model under a prefix of its own.  Parents that are
such and parents that only read are renamed to match the tokenizer's owner: either the language part is
taken out of the larger models, or text models are shown under the larger model's names.  Whatever else
the owner has (its eyes) is copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from search_spaces import Parent
from workers.checkpoints.inspection import is_tied
from workers.checkpoints.layer_stacks import EMBEDDINGS, HEADS, outer_prefix
from workers.checkpoints.layout import Layout, has_senses, text_config, with_language_config
from workers.errors import MismatchError

_Names = dict[Parent, dict[str, str]]


def is_multimodal(layout: Layout) -> bool:
    """Says whether a checkpoint holds more than a language model."""
    return has_senses(layout.config)


def with_one_kind(layouts: Mapping[Parent, Layout], owner: Parent) -> tuple[dict[Parent, Layout], _Names]:
    """Returns the layouts under the owner's names, and what each new name is called in its checkpoint.

    Raises:
        MismatchError: The language part of a parent cannot be found.
    """
    if not any(is_multimodal(layout) for layout in layouts.values()):
        return dict(layouts), {}
    found, names = dict(layouts), {}
    for parent, layout in layouts.items():
        if not is_multimodal(layouts[owner]):
            if is_multimodal(layout):
                found[parent], names[parent] = _taken_out(layout, layouts[owner])
        elif not is_multimodal(layout):
            found[parent], names[parent] = _put_in(layout, layouts[owner])
    return found, names


def language_names(layout: Layout) -> dict[str, str]:
    """Returns the language part's tensors: name -> role, a name that text models share.

    Roles are `layers.0...` inside the layers, `head`, and what follows the prefix elsewhere
    (`embed_tokens.weight`, `norm.weight`).

    Raises:
        MismatchError: No embeddings stand beside the layers.
    """
    prefix = outer_prefix(layout.layer_prefix)
    found = {}
    for name in layout.tensors:
        if name == layout.head or name.endswith(HEADS):
            found[name] = "head"
        elif name not in layout.copied:
            found[name] = name.removeprefix(prefix)
    tables = set(layout.tables or ())
    if not any(name in tables or role.endswith(EMBEDDINGS) for name, role in found.items()):
        raise MismatchError(
            str(layout.parent),
            f"no embeddings are named {prefix!r}...: its language part is not found",
            "merge the language model before it is put together with others",
        )
    return found


def _taken_out(layout: Layout, model: Layout) -> tuple[Layout, dict[str, str]]:
    """Shows the language part of a larger model under a text model's names."""
    config: dict[str, Any] = {**text_config(layout), "architectures": model.config.get("architectures")}
    config = {key: part for key, part in config.items() if key in model.config or not has_senses({key: part})}
    config["tie_word_embeddings"] = is_tied(layout)
    return _renamed(layout, model, config)


def _put_in(layout: Layout, model: Layout) -> tuple[Layout, dict[str, str]]:
    """Shows a text model under the names that the language part of a larger model has."""
    shared = _shared(layout.config) | {"tie_word_embeddings": is_tied(layout)}
    config = with_language_config(model.config, shared) | {
        key: value for key, value in shared.items() if key in model.config
    }
    return _renamed(layout, model, config)


def _renamed(layout: Layout, model: Layout, config: Mapping[str, Any]) -> tuple[Layout, dict[str, str]]:
    """Returns the language part of a layout under another's names, and what each of them is called in it."""
    places = _by_role(model)
    prefix = outer_prefix(model.layer_prefix)
    head = places.get("head", model.head or layout.head or "lm_head.weight")
    own = {}
    for name, role in language_names(layout).items():
        own[head if role == "head" else places.get(role, prefix + role)] = name
    new = {name: shown for shown, name in own.items()}
    found = replace(
        layout,
        config=config,
        tensors={shown: layout.tensors[name] for shown, name in own.items()},
        layer_prefix=model.layer_prefix,
        copied=frozenset(),
        tables=layout.tables and tuple(new[name] for name in layout.tables if name in new),
        head=layout.head and head,
    )
    return found, own


def _shared(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what of a text model's configuration the comparison of parents looks at."""
    kept: Iterable[str] = ("vocab_size", "num_attention_heads", "num_key_value_heads")
    return {key: config[key] for key in kept if key in config}


def _by_role(layout: Layout) -> dict[str, str]:
    return {role: name for name, role in language_names(layout).items()}
