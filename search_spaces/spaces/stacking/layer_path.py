"""Paths through layers: a stacked model as the steps that a token takes.

A recipe's slices are runs of layers; here they are taken apart, layer by layer, and put together again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import NO_LAYERS, Recipe, Slice
from search_spaces.recipes.settings import Parameter, Setting, canonical_number


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a path.

    Attributes:
        member: Whose layer it goes through: a place in the list of those that layers are taken from.
        layer: The layer's number there.
        scale: What the hidden states are multiplied by before they enter it.
    """

    member: int
    layer: int
    scale: float = 1.0


Path = tuple[Hop, ...]


@dataclass(frozen=True, slots=True)
class StackedLayer:
    """One layer of a stacked model, as people are shown it.

    Attributes:
        step: Its number in the stacked model.
        parents: Whose layer it is; several where they are mixed.
        layer: The layer's number in the first of them.
        scale: What the hidden states are multiplied by before they enter it.
    """

    step: int
    parents: tuple[Parent, ...]
    layer: int
    scale: float


def stacking_path(recipe: Recipe, layers: int) -> tuple[StackedLayer, ...]:
    """Returns the way through a recipe's model, layer by layer.

    Args:
        recipe: Any recipe.
        layers: How many layers a parent has.
    """
    found: list[StackedLayer] = []
    for part in recipe.slices:
        for offset, layer in enumerate(range(*layers_of(part, layers))):
            parents = tuple(source.parent for source in part.sources)
            found.append(StackedLayer(len(found), parents, layer, part.input_scale if offset == 0 else 1.0))
    return tuple(found)


def runs_of(path: Sequence[Hop]) -> Iterator[tuple[Hop, int]]:
    """Yields the first hop and the length of every run of layers that follow each other unscaled."""
    first, length = path[0], 1
    for hop in path[1:]:
        if hop == Hop(first.member, first.layer + length):
            length += 1
            continue
        yield first, length
        first, length = hop, 1
    yield first, length


def layers_of(part: Slice, layers: int) -> tuple[int, int]:
    """Returns the layers [start, end) of a slice's first source, in a parent with so many."""
    return part.sources[0].layers or (0, layers)


def one_by_one(part: Slice, layers: int) -> Iterator[Slice]:
    """Yields a slice's layers as slices of one layer each, all unscaled, gradients as numbers."""
    start, end = layers_of(part, layers)
    length = end - start
    for offset in range(length):
        depth = offset / (length - 1) if length > 1 else 1.0
        yield _at(part, [(begin + offset, begin + offset + 1) for begin in _starts(part)], depth)


def outside(part: Slice) -> Slice:
    """Returns the slice of no layers that makes the same embeddings, final norm and head."""
    return _at(part, [NO_LAYERS for _ in part.sources], 0.0)


def between(part: Slice, start: int, end: int) -> Slice:
    """Returns the layers [start, end) of a slice without gradients, counted from its first, unscaled."""
    sources = tuple(
        source.model_copy(update={"layers": (begin + start, begin + end)})
        for source, begin in zip(part.sources, _starts(part), strict=True)
    )
    return part.model_copy(update={"sources": sources, "input_scale": 1.0})


def has_gradients(part: Slice) -> bool:
    """Says whether the slice's parameters vary over its layers."""
    levels = [part.parameters, *(source.parameters for source in part.sources)]
    return any(isinstance(s.value, tuple) for level in levels for said in level.values() for s in said)


def _starts(part: Slice) -> list[int]:
    return [source.layers[0] if source.layers is not None else 0 for source in part.sources]


def _at(part: Slice, layers: Iterable[tuple[int, int]], depth: float) -> Slice:
    """The slice with these layers and the parameters of one depth."""
    sources = tuple(
        source.model_copy(update={"layers": span, "parameters": _numbers(source.parameters, depth)})
        for source, span in zip(part.sources, layers, strict=True)
    )
    changes = {"sources": sources, "parameters": _numbers(part.parameters, depth), "input_scale": 1.0}
    return part.model_copy(update=changes)


def _numbers(parameters: Mapping[str, Parameter], depth: float) -> dict[str, Parameter]:
    return {
        name: tuple(
            Setting(value=canonical_number(setting.at(depth)), filter=setting.filter) for setting in said
        )
        for name, said in parameters.items()
    }
