"""What the genetic algorithms share: members, and children that were not tried before."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from search_spaces.genome import Genome, Real
from service.optimizers.base import Evaluation, Optimizer, OptimizerSetup, Origin
from service.optimizers.variation import crossover, mutation

MOST_ATTEMPTS = 10


class Genetic(Optimizer):
    """Breeds children of two members by simulated binary crossover and polynomial mutation.

    Baselines are members of the population from the start.  The first candidates are drawn, half of
    them anywhere and half between two baselines.
    """

    smallest_population: ClassVar[int] = 2
    supports_reevaluation: ClassVar[bool] = True
    operator: ClassVar[str] = "crossover and mutation"

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self._is_real = np.array([isinstance(variable, Real) for variable in self.variables])
        self._members: list[Evaluation] = []
        self._tried: set[Genome] = set()

    @property
    def population(self) -> int:
        """How many members survive, and how many candidates make a generation."""
        return self.setup.population or 20

    def propose(self, number: int) -> Genome:
        """Returns a child of two members, or of the first generation a random genome."""
        return self._new(number)[0]

    def origin(self, number: int) -> Origin:
        """Returns the members that the candidate was bred from."""
        return self._new(number)[1]

    def learn_again(self, evaluation: Evaluation) -> None:
        """Gives a member another fitness."""
        self._members = [evaluation if m.number == evaluation.number else m for m in self._members]

    @property
    @abstractmethod
    def _breeds(self) -> bool:
        """Whether the first generation is over."""

    @abstractmethod
    def _parent(self, rng: np.random.Generator) -> Evaluation:
        """Returns a member that may have a child."""

    def _new(self, number: int) -> tuple[Genome, Origin]:
        """Returns a feasible genome that was not tried yet, as far as a few attempts find one."""
        rng = self.rng(number)
        genome, origin = self._draw(rng)
        for _ in range(MOST_ATTEMPTS):
            if genome not in self._tried and self.is_feasible(genome):
                break
            genome, origin = self._draw(rng)
        return genome, origin

    def _draw(self, rng: np.random.Generator) -> tuple[Genome, Origin]:
        if not self._breeds:
            return self._first(rng)
        one, other = (self._parent(rng) for _ in range(2))
        child = crossover(self.position_of(one.genome), self.position_of(other.genome), rng)
        origin = Origin(self.operator, tuple(dict.fromkeys((one.number, other.number))))
        return self.genome_at(mutation(child, self._is_real, rng)), origin

    def _first(self, rng: np.random.Generator) -> tuple[Genome, Origin]:
        """Returns a point of the first generation: half of them anywhere, half between two baselines."""
        count = len(self.variables)
        if len(self._members) < 2 or rng.random() < 0.5:
            return self.anywhere(rng), Origin("random")
        one, other = (self._members[i] for i in rng.choice(len(self._members), size=2, replace=False))
        start, end = self.position_of(one.genome), self.position_of(other.genome)
        noise = rng.normal(scale=self.setup.sigma / 2, size=count)
        between = np.clip(start + rng.random(count) * (end - start) + noise, 0.0, 1.0)
        return self.genome_at(between), Origin("between baselines", (one.number, other.number))
