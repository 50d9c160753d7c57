"""A recipe over other checkpoints: the same recipe, each reference replaced by another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from search_spaces.recipes.parent import Parent, is_path
from search_spaces.recipes.recipe import Recipe, Slice, Source


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
            "vision": changed(recipe.vision),
            "chat_template": change(template) if isinstance(template, Parent) else template,
            "tokens": tuple(r.model_copy(update={"source": changed(r.source)}) for r in recipe.tokens),
        }
    )


def shown(recipe: Recipe, *, named: bool) -> Recipe:
    """Returns a recipe whose local folders are called by their last part, if `named`."""
    names = names_of(recipe)
    return with_parents(recipe, names.__getitem__) if named else recipe


def names_of(recipe: Recipe) -> dict[Parent, Parent]:
    """Returns every parent as it is called elsewhere: folders by their last part, no two alike."""
    names: dict[Parent, Parent] = {}
    for parent in dict.fromkeys((*recipe.all_parents, recipe.tokenizer_owner)):
        name, count = _named(parent), 1
        while name in names.values():
            count += 1
            name = _named(parent).model_copy(update={"model": f"{_named(parent).model}-{count}"})
        names[parent] = name
    return names


def _named(parent: Parent) -> Parent:
    changes = {}
    if is_path(parent.model):
        changes["model"] = Path(parent.model).name
    if parent.adapter is not None and is_path(parent.adapter):
        changes["adapter"] = Path(parent.adapter).name
    return parent.model_copy(update=changes) if changes else parent
