"""CMA-ES: the optimizer of evolutionary model merging (Akiba et al., 2403.13187)."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from search_spaces.genome import Choice, Genome, Integer, Real, Variable, initial_genome
from service.optimizers.base import Evaluation, Optimizer, OptimizerSetup
from service.optimizers.covariance import CovarianceAdaptation

LEAST_CELLS = 0.3  # of a discrete variable: one sample in ten lies outside a cell with the mean amidst


class CmaEs(Optimizer):
    """Samples a normal distribution in the unit cube and adapts its mean, step and shape.

    The first mean is the best baseline, or the variables' initial values where there is none.
    Samples outside the cube are mirrored back into it.  A run that has converged is followed by
    another one, which starts from the best genome so far with the first step again.
    """

    smallest_population: ClassVar[int] = 3
    diagonal: ClassVar[bool] = False

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self._best = ((-math.inf, -math.inf), self.position_of(initial_genome(self.variables)))
        self._generation: list[tuple[Evaluation, NDArray[np.float64]]] = []
        self._run: CovarianceAdaptation | None = None  # begun when first needed: importing takes seconds
        self._has_learned = False

    @property
    def population(self) -> int:
        """How many candidates make a generation: lambda = 4 + 3 ln n (Hansen, 1604.00772, eq. 48)."""
        return self.setup.population or 4 + int(3 * math.log(len(self.variables)))

    def propose(self, number: int) -> Genome:
        """Returns a sample of the distribution."""
        return self.genome_at(_mirrored(self._sample(number)[: len(self.variables)]))

    def learn(self, evaluation: Evaluation) -> None:
        """Adapts the distribution to an evolved candidate; a baseline may become the first mean."""
        position, rank = self.position_of(evaluation.genome), self.rank(evaluation)
        if not evaluation.baseline:
            self._current_run()  # begins from the best so far, which must not yet be this one
            self._generation.append((evaluation, self._padded(position, evaluation.number)))
            self._has_learned = True
        if rank > self._best[0]:
            self._best = (rank, position)
        if not self._has_learned:
            self._run = None  # an ask may have begun it from another mean
        elif len(self._generation) == self.population:
            self._adapt()

    def _adapt(self) -> None:
        """Tells the run a whole generation, in which infeasible candidates come last."""
        run = self._current_run()
        scalars = self.penalised([evaluation for evaluation, _ in self._generation])
        for (_, point), scalar in zip(self._generation, scalars, strict=True):
            run.tell(point, -scalar)
        self._generation = []
        if run.finished:
            self._run = self._begin()

    def _sample(self, number: int) -> NDArray[np.float64]:
        """Returns the candidate's point before it is mirrored, shape [at least two]."""
        return self._current_run().at(self.rng(number).standard_normal(max(len(self.variables), 2)))

    def _padded(self, position: NDArray[np.float64], number: int) -> NDArray[np.float64]:
        """Gives a single variable an idle second one, at the candidate's own sample: nevergrad needs two."""
        if len(position) >= 2:
            return position
        return np.concatenate([position, self._sample(number)[len(position) :]])

    def _current_run(self) -> CovarianceAdaptation:
        if self._run is None:
            self._run = self._begin()
        return self._run

    def _begin(self) -> CovarianceAdaptation:
        idle = np.full(max(2 - len(self.variables), 0), 0.5)
        return CovarianceAdaptation(
            np.concatenate([self._best[1], idle]),
            sigma=self.setup.sigma,
            population=self.population,
            diagonal=self.diagonal,
            smallest_steps=np.concatenate([[_smallest_step(v) for v in self.variables], 0 * idle]),
        )


def _mirrored(point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the point of the unit cube that one arrives at by bouncing off its walls."""
    inside: NDArray[np.float64] = 1 - np.abs(1 - np.mod(point, 2))
    return inside


def _smallest_step(variable: Variable) -> float:
    """Returns the step below which samples would hardly leave a discrete variable's cell of [0, 1]."""
    match variable:
        case Integer():
            return LEAST_CELLS / (variable.high - variable.low + 1)
        case Choice():
            return LEAST_CELLS / len(variable.options)
        case Real():
            return 0.0
