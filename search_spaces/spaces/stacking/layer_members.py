"""Whose layers are stacked: a parent's as they are, or those of a merged model.

Both have a `label`, a `depth`, their `ends` (slices of no layers with what stands before the layers,
and after them) and `slices`, which gives some of their layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from search_spaces.errors import SpaceDefinitionError
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import Recipe, Slice, Source
from search_spaces.spaces.coefficients import with_layers_named
from search_spaces.spaces.space import ParentPool
from search_spaces.spaces.stacking.layer_path import between, has_gradients, one_by_one, outside


class ParentLayers:
    """A parent as it is.

    Attributes:
        copied: The stack's recipe has a method of its own, beside which these layers are copies.
    """

    def __init__(self, parent: Parent, depth: int, *, copied: bool) -> None:
        self.parent, self.depth, self.copied = parent, depth, copied
        self.label = parent.model.rstrip("/").rsplit("/", 1)[-1]

    @property
    def ends(self) -> tuple[Slice, Slice]:
        """Its embeddings, its final norm and head."""
        (whole,) = self.slices(0, self.depth)
        return outside(whole), outside(whole)

    def slices(self, start: int, end: int) -> tuple[Slice, ...]:
        """Returns one slice."""
        source = Source(parent=self.parent, layers=(start, end))
        return (Slice(sources=(source,), method="passthrough" if self.copied else None),)


class MergedLayers:
    """The model that a recipe makes.

    Attributes:
        original: The recipe.
        recipe: The same model's, with the numbers of all layers, and gradients in the slices alone.

    Raises:
        SpaceDefinitionError: The recipe scales its layers already.
    """

    label = "merged"

    def __init__(self, recipe: Recipe, pool: ParentPool) -> None:
        if recipe.has_scales:
            raise SpaceDefinitionError(
                "space.winner", "its layers are scaled already", "take a winner that was found without scales"
            )
        self._pool, self.original = pool, recipe
        self.recipe = _with_gradients_inside(with_layers_named(recipe, pool.layers))

    @cached_property
    def _parts(self) -> tuple[tuple[Slice, int], ...]:
        """Slices with layers, and how many each has."""
        found = []
        for part in self.recipe.slices:
            start, end = part.sources[0].layers or (0, self._pool.layers)
            found += [(part, end - start)] if part.has_layers else []
        return tuple(found)

    @cached_property
    def depth(self) -> int:
        """How many layers it has."""
        return sum(length for _, length in self._parts)

    @property
    def ends(self) -> tuple[Slice, Slice]:
        """What its first slice makes of the embeddings, its last of the head."""
        return outside(self.recipe.slices[0]), outside(self.recipe.slices[-1])

    def slices(self, start: int, end: int) -> tuple[Slice, ...]:
        """Returns the parts of its slices that lie between the two."""
        return tuple(self._between(start, end))

    def _between(self, start: int, end: int) -> Iterator[Slice]:
        begin = 0
        for part, length in self._parts:
            first, last = max(start - begin, 0), min(end - begin, length)
            begin += length
            if first >= last:
                continue
            if last - first == length:
                yield part
            elif has_gradients(part):
                yield from list(one_by_one(part, self._pool.layers))[first:last]
            else:
                yield between(part, first, last)


def _with_gradients_inside(recipe: Recipe) -> Recipe:
    """Moves what varies over a slice's layers into the slices, which are cut; the model is the same."""
    varying = {
        name: said
        for name, said in recipe.parameters.items()
        if any(isinstance(setting.value, tuple) for setting in said)
    }
    if not varying:
        return recipe
    slices = tuple(
        part
        if part.method is not None
        else part.model_copy(
            update={
                "parameters": part.parameters
                | {name: (*part.parameters.get(name, ()), *said) for name, said in varying.items()}
            }
        )
        for part in recipe.slices
    )
    rest = {name: said for name, said in recipe.parameters.items() if name not in varying}
    return with_fields(recipe, slices=slices, parameters=rest)


def with_fields(recipe: Recipe, **changes: object) -> Recipe:
    """Returns the recipe with these fields, checked like any other."""
    fields = {name: getattr(recipe, name) for name in Recipe.model_fields}
    return Recipe(**(fields | changes))
