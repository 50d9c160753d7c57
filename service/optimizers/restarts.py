"""Where CMA-ES begins again once a run of it has converged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SMALLEST_SIGMA = 0.1  # of the first step, in a small run


@dataclass(frozen=True, slots=True)
class Start:
    """How one run begins: mean (shape [variables]), first step, candidates per update."""

    mean: NDArray[np.float64]
    sigma: float
    population: int


class Restarts:
    """Two kinds of runs share the budget evenly, after BIPOP-CMA-ES (Hansen, GECCO 2009).

    *Large* runs start anywhere, with a population that doubles each time (IPOP: Auger and Hansen,
    CEC 2005): they search unvisited regions, and average noise away.  *Small* runs start from the
    best genome so far with a step drawn between a tenth of the first and the whole of it, log-
    uniformly: BIPOP starts those anywhere, too, but evaluating a model is expensive and the best genome is
    worth more than a random one.  Whichever kind has spent less is next.

    Args:
        first: The run that was begun first; it counts as large.
        seed: All draws depend on it and on how many runs there were.
        largest: A population is not doubled beyond it.
        anywhere: Draws where a large run begins, shape [variables].
    """

    def __init__(
        self,
        first: Start,
        *,
        seed: int,
        largest: int,
        anywhere: Callable[[np.random.Generator], NDArray[np.float64]],
    ) -> None:
        self._first, self._seed, self._largest, self._anywhere = first, seed, largest, anywhere
        self._runs, self._doublings = 0, 0
        self._spent = {"large": 0, "small": 0}
        self._kind = "large"

    def after(self, spent: int, best: NDArray[np.float64]) -> Start:
        """Returns the next run's start, now that the last one took `spent` candidates."""
        self._spent[self._kind] += spent
        self._runs += 1
        rng = np.random.default_rng([self._seed, 2**31, self._runs])  # no candidate has this number
        self._kind = "small" if self._spent["small"] < self._spent["large"] else "large"
        if self._kind == "small":
            sigma = self._first.sigma * SMALLEST_SIGMA ** rng.random()
            return Start(best, sigma, self._first.population)
        self._doublings += 1
        population = min(self._first.population * 2**self._doublings, self._largest)
        return Start(self._anywhere(rng), self._first.sigma, max(population, self._first.population))
