"""Differential evolution: members of a population step along the differences of others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from search_spaces.genome import Genome
from service.optimizers.base import Evaluation, Optimizer, OptimizerSetup, Origin

CROSSOVER_RATE = 0.9
SMALLEST_STEP, LARGEST_STEP = 0.5, 1.0  # dithered: Das, Konar and Chakraborty, 2005
MOST_HALVINGS = 6  # of a step that leads to no recipe


@dataclass(frozen=True, slots=True)
class _Member:
    rank: tuple[float, float]
    position: NDArray[np.float64]
    number: int


class DifferentialEvolution(Optimizer):
    """DE/current-to-best/1/bin (Storn and Price, 1997), one number to climb.

    Candidate n competes for place n mod population with the member that holds it, so that nothing
    need be remembered of an ask.  The baselines are the first members.  A step that leads to nothing
    feasible is halved.
    """

    smallest_population: ClassVar[int] = 3
    operator: ClassVar[str] = "difference"
    steady_state = True
    supports_reevaluation = True

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self._members: dict[int, _Member] = {}

    @property
    def population(self) -> int:
        """How many members there are: ten per variable is the textbook's; a search of models has fewer."""
        return self.setup.population or min(max(2 * len(self.variables), 12), 40)

    def propose(self, number: int) -> Genome:
        """Returns a member's child, or a random genome while the population is filling up."""
        rng = self.rng(number)
        parents = self._parents(number, rng)
        if parents is None:
            return self.anywhere(rng)
        own, best, one, other = (parent.position for parent in parents)
        step = rng.uniform(SMALLEST_STEP, LARGEST_STEP)
        crossed = rng.random(len(own)) < CROSSOVER_RATE
        crossed[rng.integers(len(own))] = True
        for _ in range(MOST_HALVINGS):
            trial = _bounced(own + step * (best - own) + step * (one - other), own)
            genome = self.genome_at(np.where(crossed, trial, own))
            if self.is_feasible(genome):
                break
            step /= 2
        return genome

    def origin(self, number: int) -> Origin:
        """Returns the members that the candidate steps from and along."""
        parents = self._parents(number, self.rng(number))
        if parents is None:
            return Origin("random")
        return Origin(self.operator, tuple(dict.fromkeys(parent.number for parent in parents)))

    def _parents(self, number: int, rng: np.random.Generator) -> tuple[_Member, ...] | None:
        """Returns the place's member, the best one and two others; None while there are too few."""
        place = number % self.population
        if place not in self._members or len(self._members) < self.smallest_population:
            return None
        others = sorted(key for key in self._members if key != place)
        one, other = (self._members[others[i]] for i in rng.choice(len(others), size=2, replace=False))
        best = max(self._members.items(), key=lambda item: (item[1].rank, -item[0]))[1]
        return self._members[place], best, one, other

    def learn_again(self, evaluation: Evaluation) -> None:
        """Gives a member another rank."""
        for place, member in self._members.items():
            if member.number == evaluation.number:
                self._members[place] = replace(member, rank=self.rank(evaluation))

    def learn(self, evaluation: Evaluation) -> None:
        """Puts the candidate in its place where it is at least as good as the member there."""
        rank, number = self.rank(evaluation), evaluation.number
        place = number % self.population
        if place not in self._members or rank >= self._members[place].rank:
            self._members[place] = _Member(rank, self.position_of(evaluation.genome), number)


def _bounced(trial: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the trial inside the unit cube: a gene that left it lands halfway to the wall."""
    inside = np.where(trial < 0, own / 2, trial)
    return np.where(inside > 1, (own + 1) / 2, inside)
