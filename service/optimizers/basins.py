"""Two basins of a search: around where it starts, and around all that was known before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rank = tuple[float, float]

NEAR = 0.15  # of the start, root mean square over the cube's axes: what a baseline there belongs to
FIRST_REACH, LARGEST_REACH, LEAST_REACH = 0.17, 0.5, 0.02  # radius of a trust region
GROWTH, PATIENCE = 1.6, 2  # of the reach: its factor, and after how many new bests in a row
FEWEST_FAILURES = 8  # in a row, before the reach shrinks
TRIAL = 12  # candidates that the start gets before it is compared
FAIR, MOST, LEADING, LEAST = 0.6, 0.8, 0.35, 0.1  # shares of the start


class Basin:
    """How far one basin has come, and how far from its best it is worth to look.

    The reach is that of TuRBO's trust regions (Eriksson et al., 1910.01739): it grows with new bests and
    shrinks with failures, and begins anew once it has shrunk to nothing.
    """

    def __init__(self, genes: int) -> None:
        self.best: Rank = (-np.inf, -np.inf)
        self.course: list[float] = []  # the best sum so far, candidate by candidate
        self.reach = FIRST_REACH
        self._patience = max(FEWEST_FAILURES, genes)
        self._successes = self._failures = 0

    def add(self, rank: Rank, *, evolved: bool) -> None:
        """Takes a candidate in."""
        better = rank > self.best
        self.best = max(self.best, rank)
        if not evolved:
            return
        self.course.append(self.best[1])
        self._successes = self._successes + 1 if better else 0
        self._failures = 0 if better else self._failures + 1
        if self._successes == PATIENCE:
            self.reach, self._successes = min(self.reach * GROWTH, LARGEST_REACH), 0
        if self._failures == self._patience:
            self.reach, self._failures = self.reach / GROWTH, 0
            if self.reach < LEAST_REACH:
                self.reach = FIRST_REACH

    @property
    def pace(self) -> float:
        """By how much the best sum grew per candidate, over the latter half of them."""
        half = len(self.course) // 2
        return (self.course[-1] - self.course[half]) / (len(self.course) - half) if half else 0.0


class Basins:
    """Says which candidates belong to the basin of the start, and which share of new ones it gets.

    Where the best baseline is a parent, its basin is a trap if the good merges lie around an average that
    itself scores little; where a parent or the base is best, so is the start.  So both are searched, and
    the start gets its share as long as it gains fast enough to overtake.

    A candidate belongs to the basin of the nearest one before it.  So this depends on nothing but what was
    told, in its order.
    """

    def __init__(self, start: Array) -> None:
        self._start = start
        self.first, self.others = Basin(len(start)), Basin(len(start))
        self._of_start: dict[int, bool] = {}

    def add(
        self, number: int, position: Array, rank: Rank, known: tuple[Sequence[int], Array], *, baseline: bool
    ) -> None:
        """Takes a candidate in.

        Args:
            number: Of the candidate.
            position: In the unit cube, shape [d].
            rank: The larger, the better.
            known: The numbers and positions, shape [n, d], of candidates before it.
            baseline: Whether no optimizer proposed it.
        """
        numbers, positions = known
        to_start = float(((position - self._start) ** 2).mean())
        if baseline:
            belongs = to_start <= NEAR**2
        else:
            distances = ((positions - position) ** 2).mean(axis=1)
            nearest = int(distances.argmin()) if len(distances) else -1
            near_start = nearest < 0 or to_start <= round(float(distances[nearest]), 12)
            belongs = near_start or self._of_start.get(numbers[nearest], False)
        self._of_start[number] = belongs
        (self.first if belongs else self.others).add(rank, evolved=not baseline)

    def belongs_to_start(self, number: int) -> bool:
        """Says whether a candidate is one of the start's basin."""
        return self._of_start.get(number, False)

    def share_of_start(self) -> float:
        """Returns which share of new candidates should be looked for around the best of the start's basin."""
        first, others = self.first, self.others
        tried = len(first.course)
        if tried < TRIAL:
            return FAIR
        if first.best >= others.best:
            return LEADING
        lead = others.best[1] - first.best[1]
        ahead = max(tried + len(others.course), 2 * TRIAL)
        if first.pace * ahead < lead + others.pace * ahead:
            return LEAST
        return FAIR + (MOST - FAIR) * (1 - others.pace / first.pace)
