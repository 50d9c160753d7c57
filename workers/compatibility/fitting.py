"""Parents made to fit each other before a merge: one kind of model, heads alike, one vocabulary.  Torch-free.

What a recipe asks for is turned into layouts as the merge plan wants them, so that neither the plan nor
a kernel knows of it; `workers/compatibility/fitted_reader.py` reads the tensors that these layouts promise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from search_spaces import Parent, Recipe
from workers.checkpoints.inspection import is_tied, tying_is_open
from workers.checkpoints.language_part import with_one_kind
from workers.checkpoints.layer_stacks import EMBEDDINGS, HEADS
from workers.checkpoints.layout import Layout, untied_config
from workers.checkpoints.vocabulary import vocabulary_tables
from workers.compatibility.eyes import check_eyes
from workers.errors import MismatchError
from workers.tokenizers.alignment import Alignment, align_vocabularies
from workers.tokenizers.files import TokenizerFiles, tokenizer_files_for


@dataclass(frozen=True, slots=True)
class FittedParents:
    """The parents of one recipe, as its plan sees them.

    Attributes:
        layouts: For `plan_merge`, with merged shapes and names.
        names: Parent -> name in these layouts -> the tensor of the checkpoint that it is; only where
            the two differ.
        alignment: How rows of embeddings are taken; None where vocabularies are one.
        tokenizer: What stands in for files of the tokenizer's owner.
    """

    layouts: Mapping[Parent, Layout]
    names: Mapping[Parent, Mapping[str, str]] = field(default_factory=dict)
    alignment: Alignment | None = None
    tokenizer: TokenizerFiles = field(default_factory=lambda: TokenizerFiles({}))


def fit_parents(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> FittedParents:
    """Returns the recipe's parents as they are merged.

    Raises:
        MismatchError: They differ in a way that the recipe has no answer to.
    """
    needed = dict.fromkeys((*recipe.all_parents, recipe.tokenizer_owner))
    own = {parent: _known(parent, layouts) for parent in needed}
    mixed = recipe.merged_parents
    if recipe.vision is not None:
        check_eyes(own[recipe.vision], own[recipe.tokenizer_owner])
    sighted = () if recipe.vision is None else (recipe.vision,)
    concerned = tuple(dict.fromkeys((*mixed, recipe.tokenizer_owner, *sighted)))
    one_kind, names = with_one_kind({p: own[p] for p in concerned}, recipe.tokenizer_owner)
    _check_one_architecture(recipe, one_kind)
    alike, heads = _with_heads_alike(recipe, one_kind)
    for parent, head in heads.items():
        renamed = names.get(parent, {})
        names[parent] = {**renamed, **{new: renamed.get(old, old) for new, old in head.items()}}
    alignment = align_vocabularies(recipe, alike, mixed)
    fitted = alike
    if alignment is not None:
        fitted = {parent: alignment.applied_to(layout) for parent, layout in alike.items()}
    return FittedParents(fitted, names, alignment, tokenizer_files_for(recipe, own, alignment))


def _known(parent: Parent, layouts: Mapping[Parent, Layout]) -> Layout:
    if parent not in layouts:
        known = ", ".join(str(known) for known in layouts)
        raise MismatchError(str(parent), "was not loaded", f"the recipe can use: {known}")
    return layouts[parent]


def _check_one_architecture(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> None:
    """Refuses models of several kinds, before anything else in which they differ.

    Raises:
        MismatchError: Names the first that differs from the tokenizer's owner.
    """
    owner = layouts[recipe.tokenizer_owner]
    for parent, layout in layouts.items():
        if layout.architecture != owner.architecture:
            detail = f"is a {layout.architecture}, {owner.parent} is a {owner.architecture}"
            raise MismatchError(str(parent), detail, "merge models of one architecture")


def _with_heads_alike(
    recipe: Recipe, layouts: Mapping[Parent, Layout]
) -> tuple[dict[Parent, Layout], dict[Parent, dict[str, str]]]:
    """Unties where the recipe says so; returns the layouts, and the heads that are embeddings.

    Raises:
        MismatchError: Some parents are tied, others not, and the recipe does not say what to do.
    """
    tied = [parent for parent in layouts if is_tied(layouts[parent])]
    untied = [parent for parent in layouts if parent not in tied]
    if any(tying_is_open(layout) for layout in layouts.values()):
        return dict(layouts), {}  # only headers were looked at: the worker compares the weights
    if tied and untied and not recipe.untie_embeddings:
        named = ", ".join(str(parent) for parent in tied)
        raise MismatchError(
            named,
            f"ties its output to its input embeddings (tie_word_embeddings), {untied[0]} does not",
            "write untie_embeddings: true, which gives it a head of its own, or leave it out",
        )
    if not recipe.untie_embeddings or not tied:
        return dict(layouts), {}
    found, heads = dict(layouts), {}
    for parent in tied:
        found[parent], heads[parent] = _untied(layouts[parent], _head_name(layouts, untied, parent))
    return found, heads


def _head_name(layouts: Mapping[Parent, Layout], untied: Sequence[Parent], parent: Parent) -> str:
    for other in (*untied, parent):
        for name in layouts[other].tensors:
            if name == layouts[other].head or name.endswith(HEADS):
                return name
    known = layouts[parent].head
    if known is not None:
        return known
    return "embed_out.weight" if layouts[parent].config.get("model_type") == "gpt_neox" else "lm_head.weight"


def _untied(layout: Layout, head: str) -> tuple[Layout, dict[str, str]]:
    if layout.config.get("is_encoder_decoder"):
        detail = "reads a head of its own otherwise than a tied one: it cannot be untied"
        raise MismatchError(str(layout.parent), detail, "merge parents that are all tied, or all untied")
    tables = (name for name in vocabulary_tables(layout) if layout.tables or name.endswith(EMBEDDINGS))
    embeddings = next(tables, None)
    if embeddings is None:
        raise MismatchError(str(layout.parent), "has no input embeddings to untie", "leave it out")
    tensors = {**layout.tensors, head: layout.tensors[embeddings]}
    listed = layout.tables and (*layout.tables, head)
    found = replace(
        layout, config=untied_config(layout.config), tensors=tensors, tables=listed, head=layout.head and head
    )
    return found, {head: embeddings}


class ParentFitter:
    """Fits the parents of many recipes, and does the same work only once.

    What a recipe's parents look like depends on which of them are merged and on what it says of
    tokenizers and heads, not on its numbers.
    """

    def __init__(self, layouts: Mapping[Parent, Layout]) -> None:
        self._layouts = layouts
        self._found: dict[tuple[object, ...], FittedParents] = {}

    def fit(self, recipe: Recipe) -> FittedParents:
        """Returns the recipe's parents as they are merged.

        Raises:
            MismatchError: They differ in a way that the recipe has no answer to.
        """
        vocabulary = (recipe.tokenizer, recipe.vocabulary, recipe.pad_to_multiple_of, recipe.tokens)
        key = (
            recipe.all_parents,
            recipe.merged_parents,
            recipe.base,
            *vocabulary,
            recipe.untie_embeddings,
            recipe.chat_template,
            recipe.chat_template_text,
            recipe.vision,
        )
        if key not in self._found:
            self._found[key] = fit_parents(recipe, self._layouts)
        return self._found[key]
