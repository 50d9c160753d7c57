"""A look inside a recipe: every coefficient of its method, by parent, part and layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces import Recipe, Variable
from search_spaces.catalogue.methods import MethodParameter, method_named
from search_spaces.spaces.coefficients import coefficient, with_layers_named
from service.experiment.spec import label_of
from service.reports.inside.recipe_parts import depth_of, owners_of, parts_of

EMBEDDINGS, HEAD = "embeddings", "head"
_EMBEDDING_TENSOR, _HEAD_TENSOR = "model.embed_tokens.weight", "lm_head.weight"


@dataclass(frozen=True, slots=True)
class MapColumn:
    """A parent and a part of the layer (`mlp`; empty: all of it)."""

    parent: str
    part: str


@dataclass(frozen=True, slots=True)
class MapRow:
    """A layer, a run of layers with equal coefficients, the embeddings or the head."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class CoefficientMap:
    """The table of one parameter: from the embeddings to the head down, parents across.

    Attributes:
        low, high: The bounds of the search space, or of the values where they lie outside.
    """

    parameter: str
    columns: tuple[MapColumn, ...]
    rows: tuple[MapRow, ...]
    low: float
    high: float

    def heat(self, value: float) -> float:
        """Returns how far a value is from zero towards its bound, in percent."""
        bound = self.high if value >= 0 else -self.low
        return min(abs(value) / bound, 1.0) * 100 if bound > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Coefficients:
    """One parameter's numbers: (rows, columns), NaN where a parent is not used.

    Rows are the embeddings, every layer, the head.
    """

    parameter: str
    columns: tuple[MapColumn, ...]
    values: NDArray[np.float64]


def coefficient_maps(
    recipe: Recipe, layers: int, variables: Sequence[Variable], *, layer_prefix: str = "model.layers."
) -> tuple[CoefficientMap, ...]:
    """Returns one table per parameter that is searched or varies; the others are in `constants`."""
    found = coefficients(recipe, layers, layer_prefix=layer_prefix)
    return tuple(as_map(one, variables) for one in found if is_told(one.parameter, one.values, variables))


def coefficient_differences(
    first: Recipe, second: Recipe, layers: int, *, layer_prefix: str = "model.layers."
) -> tuple[CoefficientMap, ...]:
    """Returns the first recipe's coefficients less the second's, one table per parameter that differs.

    Empty where they are the same, or the recipes' methods, parents, parts or depths are not.
    """
    ours, theirs = (coefficients(one, layers, layer_prefix=layer_prefix) for one in (first, second))
    if [_shape(one) for one in ours] != [_shape(one) for one in theirs]:
        return ()
    gaps = [
        Coefficients(one.parameter, one.columns, one.values - other.values)
        for one, other in zip(ours, theirs, strict=True)
    ]
    return tuple(as_map(one, ()) for one in gaps if (np.nan_to_num(one.values) != 0).any())


def _shape(found: Coefficients) -> tuple[str, tuple[MapColumn, ...], int]:
    return found.parameter, found.columns, len(found.values)


def constants(recipe: Recipe, layers: int, variables: Sequence[Variable]) -> dict[str, float]:
    """Returns the parameters that are the same number everywhere and are not searched."""
    return {
        one.parameter: float(one.values[np.isfinite(one.values)][0])
        for one in coefficients(recipe, layers)
        if np.isfinite(one.values).any() and not is_told(one.parameter, one.values, variables)
    }


def is_told(parameter: str, values: NDArray[np.float64], variables: Sequence[Variable]) -> bool:
    """Says whether a parameter is worth a table: it is searched, or it varies."""
    known = values[np.isfinite(values)]
    if not known.size:
        return False
    searched = any(v.axis is not None and v.axis.parameter == parameter for v in variables)
    return searched or bool((known != known[0]).any())


def coefficients(
    recipe: Recipe, layers: int, *, layer_prefix: str = "model.layers."
) -> tuple[Coefficients, ...]:
    """Returns the numbers of every parameter of the recipe's method."""
    named = with_layers_named(recipe, layers)
    numbers = [p for p in method_named(recipe.method).parameters if p.kind == "number"]
    depth = depth_of(named, layers)
    return tuple(_numbers(named, parameter, depth, layer_prefix) for parameter in numbers)


def as_map(found: Coefficients, variables: Sequence[Variable]) -> CoefficientMap:
    """Returns numbers as a table, runs of equal layers in one row."""
    low, high = bounds_of(found.parameter, variables, found.values)
    return CoefficientMap(found.parameter, found.columns, tuple(_rows(found.values)), low, high)


def bounds_of(
    parameter: str, variables: Sequence[Variable], values: NDArray[np.float64]
) -> tuple[float, float]:
    """Returns the smallest and largest value that the space, and these numbers, have of a parameter."""
    spaces = [v for v in variables if v.axis is not None and v.axis.parameter == parameter]
    edges = [float(edge) for v in spaces if (span := _span(v)) is not None for edge in span]
    edges += [float(value) for value in (np.nanmin(values), np.nanmax(values)) if np.isfinite(value)]
    return min(edges, default=0.0), max(edges, default=0.0)


def _span(variable: Variable) -> tuple[float, float] | None:
    low, high = getattr(variable, "low", None), getattr(variable, "high", None)
    return None if low is None or high is None else (low, high)


def _numbers(recipe: Recipe, parameter: MethodParameter, depth: int, prefix: str) -> Coefficients:
    owners, parts = owners_of(recipe, parameter), parts_of(recipe, parameter.name)
    places = [(_EMBEDDING_TENSOR, None), *((prefix + str(i), i) for i in range(depth))]
    cells = [
        [
            coefficient(recipe, parameter, owner, tensor if layer is None else f"{tensor}.{part}", layer)
            for owner in owners
            for part in parts
        ]
        for tensor, layer in places
    ]
    # What lies behind the layers belongs to the last slice.
    cells.append(
        [
            coefficient(recipe, parameter, owner, _HEAD_TENSOR, depth - 1 if len(recipe.slices) > 1 else None)
            for owner in owners
            for _ in parts
        ]
    )
    rest = "other tensors" if len(parts) > 1 else ""
    columns = tuple(
        MapColumn("all parents" if owner is None else label_of(owner), part or rest)
        for owner in owners
        for part in parts
    )
    numbers = [[np.nan if value is None else value for value in row] for row in cells]
    return Coefficients(parameter.name, columns, np.array(numbers, dtype=np.float64))


def _rows(values: NDArray[np.float64]) -> Iterator[MapRow]:
    yield MapRow(EMBEDDINGS, _cells(values[0]))
    start, last = 1, len(values) - 1
    for row in range(2, last + 1):
        if row == last or not np.array_equal(values[row], values[start], equal_nan=True):
            name = str(start - 1) if row - start == 1 else f"{start - 1}–{row - 2}"
            yield MapRow(name, _cells(values[start]))
            start = row
    yield MapRow(HEAD, _cells(values[last]))


def _cells(row: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in row)
