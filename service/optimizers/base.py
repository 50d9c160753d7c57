"""What an optimizer is, and the law that all of them keep."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import SpaceError
from search_spaces.genome import Genome, Variable, from_unit_cube, to_unit_cube


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an optimizer is told of a candidate.

    Attributes:
        fitness: One number per objective, larger is better.
        baseline: Proposed by no optimizer: a parent, an average, a user's own recipe.
    """

    number: int
    genome: Genome
    fitness: tuple[float, ...]
    baseline: bool = False


@dataclass(frozen=True, slots=True)
class OptimizerSetup:
    """What every optimizer is built from.

    Attributes:
        weights: One per objective: the sum that single-objective optimizers climb.
        population: Candidates per generation; None leaves it to the algorithm.
        sigma: First step as a share of each variable's range.
    """

    variables: tuple[Variable, ...]
    seed: int
    weights: tuple[float, ...] = (1.0,)
    population: int | None = None
    sigma: float = 1 / 6


class Optimizer(ABC):
    """Proposes genomes (`ask`) and learns from evaluations (`tell`).

    A genome is a function of three things: the seed, the evaluations told so far in their order,
    and the candidate's number.  So the controller never stores an optimizer: after a restart it
    builds a new one and tells it the history.  It knows nothing of recipes, models or databases.

    The law is half kept by the shape of this class: an optimizer proposes one candidate and learns
    from one evaluation at a time, so that how asks and tells are cut into calls cannot matter.  The
    other half is up to `propose`: whatever it draws it draws from `rng(number)`, and it changes
    nothing.

    Raises:
        SpaceError: The setup asks for a smaller population than the algorithm works with.
    """

    smallest_population: ClassVar[int] = 1

    def __init__(self, setup: OptimizerSetup) -> None:
        self.setup = setup
        self.variables = setup.variables
        if setup.population is not None and setup.population < self.smallest_population:
            raise SpaceError(
                "optimizer.population",
                f"{setup.population} candidates are too few to learn from",
                f"use {self.smallest_population} or more",
            )

    @property
    @abstractmethod
    def population(self) -> int:
        """How many candidates make a generation."""

    def ask(self, numbers: Sequence[int]) -> list[Genome]:
        """Returns one genome per candidate number.  Changes nothing that a later ask would notice."""
        return [self.propose(number) for number in numbers]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Learns from evaluations; how they are cut into calls does not matter, their order does.

        Raises:
            ValueError: An evaluation does not have one finite number per objective and one gene per
                variable; nothing was learned from any of them.
        """
        for evaluation in evaluations:
            self._check(evaluation)
        for evaluation in evaluations:
            self.learn(evaluation)

    @abstractmethod
    def propose(self, number: int) -> Genome:
        """Returns the genome of one candidate, drawn from `rng(number)`.  Changes nothing."""

    @abstractmethod
    def learn(self, evaluation: Evaluation) -> None:
        """Learns from one evaluation, which has been checked."""

    def rng(self, number: int) -> np.random.Generator:
        """Returns the candidate's own source of randomness."""
        return np.random.default_rng([self.setup.seed, number])

    def scalar(self, fitness: Sequence[float]) -> float:
        """Returns the weighted mean of the objectives, for optimizers that climb one number."""
        weights = np.asarray(self.setup.weights, dtype=np.float64)
        return float(np.dot(weights, fitness) / weights.sum())

    def genome_at(self, position: NDArray[np.float64]) -> Genome:
        """Returns the genome at a point of the unit cube, shape [variables], to nine decimals.

        Linear algebra differs in its last bits between processors; rounded, a search that goes on
        on another machine proposes what it would have proposed on the first.
        """
        return from_unit_cube(self.variables, np.round(position, 9))

    def position_of(self, genome: Genome) -> NDArray[np.float64]:
        """Returns the genome's point in the unit cube, shape [variables]."""
        return to_unit_cube(self.variables, genome)

    def _check(self, evaluation: Evaluation) -> None:
        number, fitness = evaluation.number, evaluation.fitness
        if len(fitness) != len(self.setup.weights) or not all(map(math.isfinite, fitness)):
            raise ValueError(
                f"candidate {number} was told with fitness {fitness}; "
                f"tell {len(self.setup.weights)} finite number(s), one per objective"
            )
        if len(evaluation.genome) != len(self.variables):
            raise ValueError(
                f"candidate {number} was told with {len(evaluation.genome)} genes; "
                f"tell one for each of the {len(self.variables)} variables"
            )
