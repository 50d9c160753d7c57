"""One threshold for a parent's whole task vector, found before the first tensor is merged.

Each parent's task vector is read tensor by tensor, two times (four where a tensor holds float64).
A merge that is stacked of slices has no parents of one name throughout: there, the first of every
slice's parents count as one, and so the second, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from workers.errors import MergeError
from workers.merging.arithmetic.task_vectors import base_tensor, task_vector
from workers.merging.kernel import Ingredients, Portion
from workers.merging.thinning.order_statistics import largest_of_several

Band = tuple[float, float]
"""The least and the greatest magnitude that are kept."""

EVERYTHING: Band = (0.0, math.inf)
NOTHING: Band = (math.inf, math.inf)

Ranks = Callable[[int, Mapping[str, float]], tuple[int, int]]
"""Returns the first and the last rank that are kept: (entries, the parent's numbers) -> ranks from 0, the
largest magnitude; nothing is kept where the last comes before the first.
"""


@dataclass(frozen=True, slots=True)
class GlobalFindings:
    """What a survey found of every parent's task vector.

    Attributes:
        bands: The magnitudes that are kept, per parent.
        deviations: The standard deviation of the entries, per parent, where the method asks for it.
        majority: The sign, +1 or -1, that most entries of the merged task vector have.
    """

    bands: tuple[Band, ...]
    deviations: tuple[float, ...] = ()
    majority: float = 1.0


def global_portions(portions: Sequence[Portion]) -> list[Portion]:
    """Returns the tensors that are to be ranked together, because they say `granularity: global`."""
    return [portion for portion in portions if portion.choices["granularity"] == "global"]


def band_of(ingredients: Ingredients, parent: int) -> Band:
    """Returns the magnitudes to be kept of a parent's task vector."""
    return found_globally(ingredients).bands[parent]


def found_globally(ingredients: Ingredients) -> GlobalFindings:
    """Returns what the survey found."""
    if not isinstance(ingredients.findings, GlobalFindings):
        raise ValueError("global thresholds need a survey; the stream makes one for every method in SURVEYS")
    return ingredients.findings


def find_bands(portions: Sequence[Portion], parameters: Sequence[str], ranks: Ranks) -> tuple[Band, ...]:
    """Returns every parent's band of magnitudes over all these tensors.

    Args:
        portions: The tensors that are ranked together.
        parameters: The parent's numbers that the ranks follow from.
        ranks: See Ranks.

    Raises:
        MergeError: One of the parameters differs between tensors.
    """
    sizes = entries_per_parent(portions)
    wanted: list[tuple[int, int]] = []
    for parent, size in enumerate(sizes):
        values = {name: _only_value(portions, name, parent) for name in parameters}
        wanted.append(ranks(size, values) if size else (0, -1))
    # The bound at rank 0 is no bound: nothing is larger.
    searched = [() if last < first else (last,) if first == 0 else (first, last) for first, last in wanted]
    searched = [() if ranked == (size - 1,) else ranked for ranked, size in zip(searched, sizes, strict=True)]
    found = largest_of_several(lambda: task_vectors_of(portions, searched), searched)
    return tuple(
        _band(magnitudes, first, last) for magnitudes, (first, last) in zip(found, wanted, strict=True)
    )


def entries_per_parent(portions: Sequence[Portion]) -> list[int]:
    """Returns how many entries each parent's task vector has in these tensors."""
    sizes: list[int] = []
    for portion in portions:
        parents = len(portion.per_parent["weight"])
        sizes += [0] * (parents - len(sizes))
        for parent in range(parents):
            sizes[parent] += math.prod(portion.shape)
    return sizes


def task_vectors_of(portions: Sequence[Portion], wanted: Sequence[object]) -> Iterator[tuple[int, Tensor]]:
    """Yields (parent, its task vector [...] in one tensor) for the parents of whom something is wanted."""
    if not any(wanted):
        return
    for portion in portions:
        ingredients = portion.load()
        base = base_tensor(ingredients)
        for number, parent in enumerate(ingredients.parents):
            if wanted[number]:
                yield number, task_vector(parent, base)


def _band(magnitudes: Sequence[float], first: int, last: int) -> Band:
    if last < first:
        return NOTHING
    low = magnitudes[-1] if magnitudes else 0.0
    return low, magnitudes[0] if first > 0 else math.inf


def _only_value(portions: Sequence[Portion], name: str, parent: int) -> float:
    """Returns a parent's value of a parameter, which must be one for all tensors."""
    tensors = {
        portion.per_parent[name][parent]: portion.name
        for portion in reversed(portions)
        if parent < len(portion.per_parent[name])
    }
    if len(tensors) > 1:
        (one, first), (other, second), *_ = tensors.items()
        raise MergeError(
            name,
            f"one threshold over all tensors takes one {name} per parent, but parent {parent} has {one:g}"
            f" for {first} and {other:g} for {second}",
            f"write {name} as one number, without filters or gradients",
        )
    return next(iter(tensors))
