"""A recipe over other checkpoints: the same recipe, each reference replaced by another."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.parent import Parent
from search_spaces.recipe import Recipe, Slice, Source


def with_parents(recipe: Recipe, change: Callable[[Parent], Parent]) -> Recipe:
    """Returns the recipe with every reference to a checkpoint replaced by what `change` makes of it."""

    def changed(parent: Parent | None) -> Parent | None:
        return None if parent is None else change(parent)

    def source(old: Source) -> Source:
        return old.model_copy(update={"parent": change(old.parent)})

    def part(old: Slice) -> Slice:
        sources = tuple(map(source, old.sources))
        return old.model_copy(update={"sources": sources, "base": changed(old.base)})

    template = recipe.chat_template
    fields = {name: getattr(recipe, name) for name in Recipe.model_fields}
    return Recipe(
        **fields
        | {
            "slices": tuple(map(part, recipe.slices)),
            "base": changed(recipe.base),
            "tokenizer": changed(recipe.tokenizer),
            "chat_template": change(template) if isinstance(template, Parent) else template,
            "tokens": tuple(r.model_copy(update={"source": changed(r.source)}) for r in recipe.tokens),
        }
    )
