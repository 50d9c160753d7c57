"""Genes that do nothing: those of a parent where it equals the base.

With methods on task vectors a parent's weight and density matter only where it changed the base.  Which
genes act elsewhere is found by decoding: a gene is moved, and the recipes' coefficients are compared in
every tensor that its parent changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from search_spaces.catalogue.methods import MethodParameter, method_named
from search_spaces.genome import Choice, Genome, Integer, Real, initial_genome
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import Recipe, Slice
from search_spaces.spaces.coefficients import coefficient, with_layers_named
from search_spaces.spaces.space import ParentPool, SearchSpace

_POSITIONS = (0.0, 0.29, 0.53, 0.71, 1.0)  # of a gene's range: recipes at all of them must be alike


@dataclass(frozen=True, slots=True)
class Changed:
    """The tensors in which a parent differs from the base: names, with the layer or None outside."""

    tensors: tuple[tuple[str, int | None], ...]


def idle_genes(space: SearchSpace, pool: ParentPool, changed: Mapping[Parent, Changed]) -> tuple[str, ...]:
    """Returns the names of the genes that change no merged model, whatever the others are.

    Args:
        space: Whose genes they are.
        pool: What it is built over.
        changed: Of every parent of which it is known.
    """
    begins = list(_contexts(space))
    return tuple(
        variable.name
        for place, variable in enumerate(space.variables)
        if isinstance(variable, (Real, Integer))
        and (axis := variable.axis) is not None
        and axis.owner is not None
        and (owner := pool.parents[axis.owner]) in changed
        and all(_is_idle(space, pool, begin, place, owner, changed[owner]) for begin in begins)
    )


def _contexts(space: SearchSpace) -> Iterator[Genome]:
    """Yields where a space begins, with every option of every choice once."""
    begin = initial_genome(space.variables)
    yield begin
    for place, variable in enumerate(space.variables):
        for option in variable.options if isinstance(variable, Choice) else ():
            yield (*begin[:place], option, *begin[place + 1 :])


def _is_idle(
    space: SearchSpace, pool: ParentPool, begin: Genome, place: int, owner: Parent, changed: Changed
) -> bool:
    variable = space.variables[place]
    moved = [
        space.decode((*begin[:place], variable.from_unit(position), *begin[place + 1 :]))
        for position in _POSITIONS
    ]
    recipes = [with_layers_named(each, pool.layers) for each in moved if isinstance(each, Recipe)]
    if len(recipes) < len(moved) or not all(map(_leaves_unchanged_alone, recipes)):
        return False
    first, *others = recipes
    if any(_without(each, owner) != _without(first, owner) for each in others):
        return False
    parameters = [p for p in method_named(first.method).parameters if p.scope == "parent"]
    filters = _filters(recipes)
    seen = set()
    for tensor, layer in changed.tensors:
        kind = (layer, *(name in tensor for name in filters))
        if kind in seen:
            continue
        seen.add(kind)
        values = [_values(each, parameters, owner, tensor, layer) for each in recipes]
        if any(value != values[0] for value in values):
            return False
    return True


def _leaves_unchanged_alone(recipe: Recipe) -> bool:
    """Says whether a parent's parameters do nothing where it equals the base."""
    method = method_named(recipe.method)
    if not method.unchanged_is_idle:
        return False
    granularity = next((p for p in method.parameters if p.name == "granularity"), None)
    for parameter in (p for p in method.parameters if p.name in ("normalize", "granularity")):
        for part in recipe.slices:
            value = recipe.shared_value(parameter.name, part, "", 0.0)
            if parameter.name == "normalize" and value:
                return False
            if parameter is granularity and value and parameter.choices[int(value)] == "global":
                return False
    return True


def _without(recipe: Recipe, owner: Parent) -> Recipe:
    """Returns the recipe without what it says of one parent."""
    parts = [
        part.model_copy(
            update={
                "sources": tuple(
                    s.model_copy(update={"parameters": {}}) if s.parent == owner else s for s in part.sources
                )
            }
        )
        for part in recipe.slices
    ]
    return recipe.model_copy(update={"slices": tuple(parts)})


def _filters(recipes: Sequence[Recipe]) -> list[str]:
    return sorted(
        {
            setting.filter
            for recipe in recipes
            for part in recipe.slices
            for source in part.sources
            for parameter in source.parameters.values()
            for setting in parameter
            if setting.filter is not None
        }
    )


def _values(
    recipe: Recipe, parameters: Sequence[MethodParameter], owner: Parent, tensor: str, layer: int | None
) -> list[float | None]:
    """Returns an owner's coefficients in a tensor; outside the layers, wherever they may be read from."""
    if layer is not None:
        return [coefficient(recipe, parameter, owner, tensor, layer) for parameter in parameters]
    found: list[float | None] = []
    for part in (recipe.slices[0], recipe.slices[-1]):
        found += _outside(recipe, part, parameters, owner, tensor)
    return found


def _outside(
    recipe: Recipe, part: Slice, parameters: Sequence[MethodParameter], owner: Parent, tensor: str
) -> Iterator[float | None]:
    for source in part.sources:
        if source.parent == owner:
            for parameter in parameters:
                for depth in (0.0, 1.0):
                    yield recipe.parent_value(parameter.name, part, source, tensor, depth)
