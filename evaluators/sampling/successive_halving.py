"""Successive halving: all candidates answer few items, the better part answers more, and so on.

The alternative to racing where there is no incumbent yet, or where a whole generation is at hand
(Jamieson & Talwalkar, arXiv 1502.07943, algorithm 1, with items as the resource).  Pure: asking
the items is the caller's task, and items answered on one rung are not asked again on the next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluators.item_set import ItemIndices


@dataclass(frozen=True, slots=True)
class HalvingSchedule:
    """How items grow and candidates shrink from rung to rung.

    Attributes:
        first: Items of each benchmark on the first rung.
        eta: Each rung asks `eta` times as many items of one in `eta` of the candidates; above 1.
        seed: Of the order in which items are asked.
    """

    first: int = 25
    eta: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses rungs that never grow."""
        if self.first < 1 or not self.eta > 1.0:
            raise ValueError(f"rungs of {self.first} items growing {self.eta}-fold; use first >= 1, eta > 1")

    def rungs(self, sizes: Sequence[int]) -> list[ItemIndices]:
        """Returns the items asked up to each rung: nested, the last one holds all.

        Args:
            sizes: How many items each benchmark has.
        """
        orders = [
            np.random.default_rng([self.seed, number, size]).permutation(size)
            for number, size in enumerate(sizes)
        ]
        count, found = float(self.first), []
        while math.ceil(count) < max(sizes):
            found.append(self._prefixes(orders, math.ceil(count)))
            count *= self.eta
        return [*found, self._prefixes(orders, max(sizes))]

    def survivors(self, fitness: Mapping[int, float]) -> tuple[int, ...]:
        """Returns the numbers of the candidates that go on, best first; of equals the lower number."""
        keep = math.ceil(len(fitness) / self.eta)
        return tuple(sorted(fitness, key=lambda number: (-fitness[number], number))[:keep])

    @staticmethod
    def _prefixes(orders: Sequence[np.ndarray], count: int) -> ItemIndices:
        return tuple(tuple(sorted(order[:count].tolist())) for order in orders)
