"""Pareto archive: the front of all candidates, and the hypervolume under it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

MOST_EXACT = 6  # objectives
SAMPLES = 2**15


class ParetoArchive:
    """Keeps every candidate's fitness; the front and the hypervolume are questions put to it.

    All fitness is maximized.  The hypervolume is measured from a reference point that is fixed
    once: the worst value of each objective among the baselines, so that it can be compared over
    a whole run (Zitzler & Thiele, 1998).  What does not beat the reference in every objective adds
    nothing to it.
    """

    def __init__(self) -> None:
        self._fitness: dict[int, tuple[float, ...]] = {}
        self._scalars: dict[int, float] = {}
        self._best: tuple[int, float] | None = None
        self._front: tuple[int, ...] = ()
        self.reference: tuple[float, ...] | None = None
        self._references: list[tuple[float, ...]] = []  # until the reference is fixed

    def add(self, number: int, fitness: Sequence[float], scalar: float, *, is_reference: bool = True) -> None:
        """Takes a candidate in; `scalar` is what a single-objective optimizer would climb.

        One that is no reference does not count for the reference point, unless there are only such.

        Raises:
            ValueError: The fitness is not finite: it could be compared with nothing.
        """
        fitness = _checked(number, fitness)
        self._fitness[number], self._scalars[number] = fitness, scalar
        if is_reference and self.reference is None:
            self._references.append(fitness)
        if self._best is None or scalar > self._best[1]:
            self._best = (number, scalar)
        if any(_dominates(self._fitness[n], fitness) or self._fitness[n] == fitness for n in self._front):
            return
        kept = tuple(n for n in self._front if not _dominates(fitness, self._fitness[n]))
        self._front = (*kept, number)

    def retell(self, number: int, fitness: Sequence[float] | None, scalar: float = 0.0) -> None:
        """Gives a candidate another fitness; None takes it out, as it breaks a constraint now.

        Raises:
            ValueError: The fitness is not finite.
        """
        if fitness is None:
            self._fitness.pop(number, None)
            self._scalars.pop(number, None)
        else:
            self._fitness[number], self._scalars[number] = _checked(number, fitness), scalar
        self._best = max(self._scalars.items(), key=lambda item: (item[1], -item[0]), default=None)
        numbers = sorted(self._fitness)
        if not numbers:
            self._front = ()
            return
        points = np.array([self._fitness[n] for n in numbers])
        kept = moocore.is_nondominated(points, maximise=True)  # of equals the first
        self._front = tuple(n for n, keep in zip(numbers, kept, strict=True) if keep)

    def ranked(self) -> list[int]:
        """Returns all numbers, the front's first, both parts by their scalar; of equals the lower number."""
        front = set(self._front)
        return sorted(self._scalars, key=lambda n: (n not in front, -self._scalars[n], n))

    def fix_reference(self) -> None:
        """Makes the worst value of each objective so far the reference point, if there is none yet."""
        if self._fitness and self.reference is None:
            chosen = self._references or list(self._fitness.values())
            self.reference = tuple(float(v) for v in np.min(chosen, axis=0))
            self._references = []

    @property
    def best(self) -> tuple[int, float] | None:
        """The number and weighted mean of the best candidate; of equals the first to be added."""
        return self._best

    @property
    def front(self) -> tuple[int, ...]:
        """Numbers of the candidates that no other dominates, ascending; of equals the first to be added."""
        return tuple(sorted(self._front))

    @property
    def hypervolume(self) -> float:
        """Volume between the reference point and the front; 0 before the reference is fixed."""
        return hypervolume_of(np.array([self._fitness[n] for n in self._front]), self.reference)


def hypervolume_of(front: NDArray[np.float64], reference: Sequence[float] | None) -> float:
    """Returns the volume between a reference point and a front; 0 where either is missing.

    Exact up to six objectives.  Beyond, the exact volume takes minutes, and it is estimated by a rule
    without randomness, to about two digits (moocore's `hv_approx`).

    Args:
        front: (n, m) fitness, larger is better.
        reference: m numbers.
    """
    if reference is None or not len(front):
        return 0.0
    origin = np.array(reference)
    if len(origin) <= MOST_EXACT:
        return float(moocore.hypervolume(front, ref=origin, maximise=True))
    return float(moocore.hv_approx(front, ref=origin, maximise=True, nsamples=SAMPLES))


def _checked(number: int, fitness: Sequence[float]) -> tuple[float, ...]:
    found = tuple(fitness)
    if not all(map(math.isfinite, found)):
        raise ValueError(f"candidate {number} has fitness {found}; only finite numbers can be kept")
    return found


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Says whether one is at least as good in every objective, and better in some."""
    return all(a >= b for a, b in zip(one, other, strict=True)) and any(
        a > b for a, b in zip(one, other, strict=True)
    )
