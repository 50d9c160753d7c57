"""CMA-ES: the optimizer of evolutionary model merging (Akiba et al., 2403.13187)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from search_spaces.genome import Choice, Genome, Integer, Real, Variable, initial_genome
from service.optimizers.base import Evaluation, Optimizer, OptimizerSetup
from service.optimizers.covariance import CovarianceAdaptation
from service.optimizers.noisy_covariance import NoisyCovarianceAdaptation
from service.optimizers.options import Option
from service.optimizers.restarts import Restarts, Start
from service.optimizers.warm_start import warm_distribution

_Run = CovarianceAdaptation | NoisyCovarianceAdaptation

UNRANKED = (-math.inf, -math.inf)
LEAST_CELLS = 0.3  # of a discrete variable: one sample in ten lies outside a cell with the mean amidst
MOST_DOUBLINGS = 6
MOST_CORNER_VALUES = 3  # of one parent's weight, the others' and a density
FEW_ITEMS = 100  # up to which learning slower was found to pay (benchmarks.search_noise)
MOST_GENES_TO_SLOW = 100  # twice as many take ten times as long: O(n^3) in every generation
LEAST_GENERATIONS = 10  # of the budget, that the largest population must leave room for


class CmaEs(Optimizer):
    """Samples a normal distribution in the unit cube and adapts its mean, step and shape.

    The first mean is the best baseline, or the variables' initial values where there is none or where it is
    a corner of the cube: around a parent or the base half of all steps lead out, and better merges are
    often cut off by worse ones (see `Basins`).  The best baseline stays the best so far.  From
    twenty baselines on (winners of earlier experiments) mean and steps are learned from the best of
    them.  A run that has converged is followed by another one: see `Restarts`.

    Bounds: samples outside the cube are mirrored back into it, and the distribution learns from the
    mirrored points, so that it never drifts away from the cube.  Nothing piles up on the bounds, as
    it would with clipping, and no penalty must be weighed against the fitness.

    Noise: with `learning_rate_adaptation` updates shrink while they contradict each other (LRA-CMA-ES,
    2304.03473).  That pays where fitness is the mean of few items, and costs where it is exact; `auto`
    goes by what was told before the run begins.

    Constraints: of a generation, candidates that break them rank last, by how much they break them.
    """

    smallest_population: ClassVar[int] = 3
    diagonal: ClassVar[bool] = False
    supports_reevaluation: ClassVar[bool] = True
    reads_items: ClassVar[bool] = True
    declared_options: ClassVar[Mapping[str, Option]] = {
        "restarts": Option("bipop", "how a converged run is followed by another", choices=("bipop", "best")),
        "warm_start": Option(default=True, meaning="learn the first steps from 20 baselines or more"),
        "learning_rate_adaptation": Option(
            "auto", "learn the slower the noisier fitness is", choices=("auto", "always", "never")
        ),
    }

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self._start = self.position_of(initial_genome(self.variables))
        self._best = (UNRANKED, self._start)
        self._generation: list[tuple[Evaluation, NDArray[np.float64]]] = []
        self._known: list[tuple[NDArray[np.float64], tuple[float, float]]] = []
        self._run: _Run | None = None  # begun when first needed: importing takes a second
        self._restarts: Restarts | None = None
        self._has_learned = False
        self._items = 0.0  # that a candidate's fitness is the mean of, at most
        self._spent = 0  # candidates told in this run
        self._best_number: int | None = None
        self._median = UNRANKED  # of this run's last generation
        self._earlier = self._best  # the best median that a run ended with, and the mean

    @property
    def population(self) -> int:
        """How many candidates make a generation: lambda = 4 + 3 ln n (Hansen, 1604.00772, eq. 48)."""
        return self.setup.population or 4 + int(3 * math.log(len(self.variables)))

    def propose(self, number: int) -> Genome:
        """Returns a sample of the distribution."""
        return self.genome_at(mirrored(self._sample(number)[: len(self.variables)]))

    def mean(self) -> Genome | None:
        """Returns a distribution's mean, once one was adapted to anything.

        Of several runs it is the mean of the one whose last generation was best, by its median: one that
        has just begun, from anywhere, says nothing yet.
        """
        if not self._has_learned:
            return None
        median, point = self._earlier
        return self.genome_at(point if median > self._median else self._middle())

    def learn(self, evaluation: Evaluation) -> None:
        """Adapts the distribution to an evolved candidate; a baseline may become the first mean."""
        position, rank = self.position_of(evaluation.genome), self.rank(evaluation)
        if not evaluation.baseline:
            self._current_run()  # begins from the best so far, which must not yet be this one
            self._generation.append((evaluation, self._padded(position, evaluation.number)))
            self._has_learned = True
        elif not self._has_learned:
            self._known.append((position, rank))
        if rank > self._best[0]:
            self._best, self._best_number = (rank, position), evaluation.number
        self._items = max(self._items, self._items_of(evaluation))
        if not self._has_learned:
            self._run = None  # an ask may have begun it from another mean
        elif len(self._generation) == self._current_run().population:
            self._adapt()

    def learn_again(self, evaluation: Evaluation) -> None:
        """Gives the best so far, where a run may begin, another rank; samples told stay as they were."""
        if evaluation.number == self._best_number:
            self._best = (self.rank(evaluation), self._best[1])

    def _adapt(self) -> None:
        """Tells the run a whole generation, in which infeasible candidates come last."""
        run = self._current_run()
        scalars = self.penalised([evaluation for evaluation, _ in self._generation])
        run.tell([point for _, point in self._generation], [-scalar for scalar in scalars])
        self._spent += len(self._generation)
        ranks = sorted(self.rank(evaluation) for evaluation, _ in self._generation)
        self._median = ranks[len(ranks) // 2]
        self._generation = []
        if run.finished:
            self._restart()

    def _middle(self) -> NDArray[np.float64]:
        count = len(self.variables)
        return mirrored(self._current_run().at(np.zeros(max(count, 2)))[:count])

    def _sample(self, number: int) -> NDArray[np.float64]:
        """Returns the candidate's point before it is mirrored, shape [at least two]."""
        return self._current_run().at(self.rng(number).standard_normal(max(len(self.variables), 2)))

    def _padded(self, position: NDArray[np.float64], number: int) -> NDArray[np.float64]:
        """Gives a single variable an idle second one, at the candidate's own sample: pycma needs two."""
        if len(position) >= 2:
            return position
        return np.concatenate([position, self._sample(number)[len(position) :]])

    def _current_run(self) -> _Run:
        if self._run is None:
            steps = np.full(len(self.variables), self.setup.sigma)
            mean = self._start if _is_corner(self._best[1]) else self._best[1]
            if self.options["warm_start"] and self._known:
                positions, ranks = [p for p, _ in self._known], [rank for _, rank in self._known]
                warm = warm_distribution(positions, ranks, self.setup.sigma)
                mean, steps = warm or (mean, steps)
            self._run = self._begin(mean, steps, self.population)
        return self._run

    def _restart(self) -> None:
        """Begins another run, now that one has converged."""
        if self._median > self._earlier[0]:
            self._earlier = (self._median, self._middle())
        self._median = UNRANKED
        first = Start(self._best[1], self.setup.sigma, self.population)
        if self._restarts is None:
            largest = self.population * 2**MOST_DOUBLINGS
            if self.setup.budget is not None:
                largest = min(largest, self.setup.budget // LEAST_GENERATIONS)
            self._restarts = Restarts(
                first,
                seed=self.setup.seed,
                largest=largest,
                anywhere=lambda rng: self.position_of(self.anywhere(rng)),
            )
        bipop = self.options["restarts"] == "bipop"
        start = self._restarts.after(self._spent, self._best[1]) if bipop else first
        self._spent = 0
        self._run = self._begin(start.mean, np.full(len(self.variables), start.sigma), start.population)

    def _begin(self, mean: NDArray[np.float64], steps: NDArray[np.float64], population: int) -> _Run:
        idle = np.zeros(max(2 - len(self.variables), 0))
        start = np.concatenate([mean, idle + 0.5])
        steps = np.concatenate([steps, idle + self.setup.sigma])
        smallest = np.concatenate([[_smallest_step(v) for v in self.variables], idle])
        if self._learns_slower():
            return NoisyCovarianceAdaptation(
                start, steps=steps, population=population, smallest_steps=smallest
            )
        return CovarianceAdaptation(
            start, steps=steps, population=population, smallest_steps=smallest, diagonal=self.diagonal
        )

    def _learns_slower(self) -> bool:
        wanted = self.options.get("learning_rate_adaptation", "never")
        if wanted == "auto":
            return 0 < self._items <= FEW_ITEMS and len(self.variables) <= MOST_GENES_TO_SLOW
        return wanted == "always"

    def _items_of(self, evaluation: Evaluation) -> float:
        """Returns how many items of one objective are as noisy as the scalar; 0 where they were not kept."""
        counts = [len(items) for items in evaluation.items]
        if len(counts) != len(self.setup.weights) or not all(counts):
            return 0.0
        squares = sum(weight**2 / count for weight, count in zip(self.setup.weights, counts, strict=True))
        return sum(self.setup.weights) ** 2 / squares


def mirrored(point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the point of the unit cube that one arrives at by bouncing off its walls."""
    inside: NDArray[np.float64] = 1 - np.abs(1 - np.mod(point, 2))
    return inside


def _is_corner(position: NDArray[np.float64]) -> bool:
    """Says whether a point has the same few values along all axes, and half of them are bounds: a parent."""
    at_bounds = (position <= 0) | (position >= 1)
    return bool(at_bounds.mean() >= 1 / 2) and len(np.unique(np.round(position, 6))) <= MOST_CORNER_VALUES


def _smallest_step(variable: Variable) -> float:
    """Returns the step below which samples would hardly leave a discrete variable's cell of [0, 1]."""
    match variable:
        case Integer():
            return LEAST_CELLS / (variable.high - variable.low + 1)
        case Choice():
            return LEAST_CELLS / len(variable.options)
        case Real():
            return 0.0
