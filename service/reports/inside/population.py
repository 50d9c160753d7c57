"""The population's heat map: what the candidates on a front have in common, layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces import Recipe, Variable
from service.reports.inside.coefficient_maps import (
    EMBEDDINGS,
    HEAD,
    Coefficients,
    MapColumn,
    bounds_of,
    coefficients,
    is_told,
)

MOST_RECIPES = 64


@dataclass(frozen=True, slots=True)
class PopulationCell:
    """Mean and standard deviation of one coefficient over the recipes."""

    mean: float
    spread: float


@dataclass(frozen=True, slots=True)
class PopulationRow:
    """A layer; `agreement` is 1 where all recipes have the same coefficients, 0 where they fill the range."""

    name: str
    cells: tuple[PopulationCell | None, ...]
    agreement: float


@dataclass(frozen=True, slots=True)
class PopulationMap:
    """One parameter over many recipes.

    Attributes:
        recipes: How many were looked at.
        low, high: The bounds of the search space.
    """

    parameter: str
    recipes: int
    columns: tuple[MapColumn, ...]
    rows: tuple[PopulationRow, ...]
    low: float
    high: float

    def heat(self, value: float) -> float:
        """Returns how far a value is from zero towards its bound, in percent."""
        bound = self.high if value >= 0 else -self.low
        return min(abs(value) / bound, 1.0) * 100 if bound > 0 else 0.0

    @property
    def words(self) -> str:
        """Says where the recipes agree most and least."""
        layers = [row for row in self.rows if row.name not in (EMBEDDINGS, HEAD)]
        if self.recipes < 2 or len(layers) < 2:
            return ""
        most, least = (pick(layers, key=lambda row: row.agreement) for pick in (max, min))
        return (
            f"They agree most on layer {most.name} ({most.agreement:.0%} of the range is left unused) "
            f"and least on layer {least.name} ({least.agreement:.0%})."
        )


def population_maps(
    recipes: Sequence[Recipe], layers: int, variables: Sequence[Variable], *, layer_prefix: str
) -> tuple[PopulationMap, ...]:
    """Returns one table per parameter, over the recipes of the most frequent shape."""
    found = [coefficients(recipe, layers, layer_prefix=layer_prefix) for recipe in recipes[:MOST_RECIPES]]
    shapes = Counter(map(_shape, found))
    if not shapes:
        return ()
    usual = shapes.most_common(1)[0][0]
    alike = [one for one in found if _shape(one) == usual]
    maps = [_over([one[place] for one in alike], variables) for place in range(len(usual))]
    return tuple(one for one in maps if one is not None)


def _shape(found: Sequence[Coefficients]) -> tuple[tuple[str, tuple[MapColumn, ...], int], ...]:
    return tuple((one.parameter, one.columns, len(one.values)) for one in found)


def _over(found: Sequence[Coefficients], variables: Sequence[Variable]) -> PopulationMap | None:
    stack = np.stack([one.values for one in found])
    if not is_told(found[0].parameter, stack, variables):
        return None
    known = np.asarray(np.isfinite(stack).all(axis=0))
    means, spreads = stack.mean(axis=0), stack.std(axis=0)
    low, high = bounds_of(found[0].parameter, variables, stack)
    names = [EMBEDDINGS, *map(str, range(len(means) - 2)), HEAD]
    rows = tuple(
        _row(name, means[row], spreads[row], known[row], (high - low) / 2) for row, name in enumerate(names)
    )
    return PopulationMap(found[0].parameter, len(found), found[0].columns, rows, low, high)


def _row(
    name: str,
    means: NDArray[np.float64],
    spreads: NDArray[np.float64],
    known: NDArray[np.bool_],
    half_range: float,
) -> PopulationRow:
    cells = tuple(
        PopulationCell(float(mean), float(spread)) if told else None
        for mean, spread, told in zip(means, spreads, known, strict=True)
    )
    widest = float(spreads[known].max(initial=0.0))
    return PopulationRow(name, cells, 1 - min(widest / half_range, 1.0) if half_range > 0 else 1.0)
