"""What an optimizer is, and the law that all of them keep."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces.genome import Genome, Variable


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
    """

    def __init__(self, setup: OptimizerSetup) -> None:
        self.setup = setup
        self.variables = setup.variables

    @property
    @abstractmethod
    def population(self) -> int:
        """How many candidates make a generation."""

    @abstractmethod
    def ask(self, numbers: Sequence[int]) -> list[Genome]:
        """Returns one genome per candidate number.  Changes nothing that a later ask would notice."""

    @abstractmethod
    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Learns from evaluations; how they are cut into calls does not matter, their order does."""

    def rng(self, number: int) -> np.random.Generator:
        """Returns the candidate's own source of randomness."""
        return np.random.default_rng([self.setup.seed, number])

    def scalar(self, fitness: Sequence[float]) -> float:
        """Returns the weighted mean of the objectives, for optimizers that climb one number."""
        weights = np.asarray(self.setup.weights, dtype=np.float64)
        return float(np.dot(weights, fitness) / weights.sum())


def seed_for(*parts: object) -> int:
    """Returns a 32-bit seed that depends on all parts and on nothing else."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big")
