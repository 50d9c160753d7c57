"""Differential evolution: members of a population step along the differences of others."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from search_spaces.genome import Genome
from service.optimizers.base import Evaluation, Optimizer, OptimizerSetup

CROSSOVER_RATE = 0.9
SMALLEST_STEP, LARGEST_STEP = 0.5, 1.0  # dithered: Das, Konar and Chakraborty, 2005


class DifferentialEvolution(Optimizer):
    """DE/current-to-best/1/bin (Storn and Price, 1997), one number to climb.

    Candidate n competes for place n mod population with the member that holds it, so that nothing
    need be remembered of an ask.  The baselines are the first members.
    """

    smallest_population: ClassVar[int] = 3

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self._members: dict[int, tuple[float, NDArray[np.float64]]] = {}

    @property
    def population(self) -> int:
        """How many members there are: ten per variable is the textbook's; a search of models has fewer."""
        return self.setup.population or min(max(2 * len(self.variables), 12), 40)

    def propose(self, number: int) -> Genome:
        """Returns a member's child, or a random genome while the population is filling up."""
        rng = self.rng(number)
        place = number % self.population
        if place not in self._members or len(self._members) < self.smallest_population:
            return self.genome_at(rng.random(len(self.variables)))
        own = self._members[place][1]
        others = sorted(key for key in self._members if key != place)
        one, other = (self._members[others[i]][1] for i in rng.choice(len(others), size=2, replace=False))
        best = max(self._members.items(), key=lambda item: (item[1][0], -item[0]))[1][1]
        step = rng.uniform(SMALLEST_STEP, LARGEST_STEP)
        trial = _bounced(own + step * (best - own) + step * (one - other), own)
        crossed = rng.random(len(own)) < CROSSOVER_RATE
        crossed[rng.integers(len(own))] = True
        return self.genome_at(np.where(crossed, trial, own))

    def learn(self, evaluation: Evaluation) -> None:
        """Puts the candidate in its place where it is at least as good as the member there."""
        scalar = self.scalar(evaluation.fitness)
        place = evaluation.number % self.population
        if place not in self._members or scalar >= self._members[place][0]:
            self._members[place] = (scalar, self.position_of(evaluation.genome))


def _bounced(trial: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the trial inside the unit cube: a gene that left it lands halfway to the wall."""
    inside = np.where(trial < 0, own / 2, trial)
    return np.where(inside > 1, (own + 1) / 2, inside)
