"""A model of every item of the benchmarks, and candidates where it expects most: few evaluations count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from search_spaces.genome import Genome, initial_genome
from service.optimizers.base import Evaluation, Optimizer, OptimizerSetup, Origin
from service.optimizers.cma_es import mirrored
from service.optimizers.evaluation_memory import EvaluationMemory
from service.optimizers.item_posterior import ItemPosterior
from service.optimizers.options import Option

Array = NDArray[np.float64]

USUAL_POPULATION = 8
FEWEST = 3  # evaluations, before which candidates are drawn around the start
ELITES, USUAL_PLACE = 12, 3.0  # of recombination: how many may take part, and the first one's mean rank
FACTORS, CROSSOVERS, JITTER = (0.3, 0.6, 0.9), (0.2, 0.5, 1.0), 0.02  # of recombination
FIRST_DRAWS, DRAWS, ROUNDS, SURVIVORS = 128, 64, 7, 16  # of the climb on the model
REACH = 0.25  # of the first draws' largest step, as a share of the cube
LEAST_STEP, SHRINKING = 0.01, 0.7
_MEAN = 2**32  # no candidate has this number


class ItemSurrogate(Optimizer):
    """Bayesian optimization that predicts each item's answer instead of the benchmark's mean.

    Of a multiple-choice item it is told by how much the right answer is likelier than the best wrong one.
    This margin changes smoothly with the coefficients of a merge, where the accuracy is a sum of steps; so
    a Gaussian process of all margins, with one kernel, foresees which items a recipe will answer, and from
    that the accuracy, after a few evaluations.  Objectives without margins (generated answers, lengths)
    are predicted from their values, as in ordinary Bayesian optimization.

    Every candidate climbs its own optimistic view of the model: mean plus an exponentially distributed
    number of standard deviations (randomized upper confidence bounds: Berk et al., 2006.04296; Takeno et
    al., 2302.01511).  So candidates of a generation differ without knowing of each other.

    A share of the candidates asks no model: they are recombined from the best by differences, as in
    differential evolution, because where a network is cut and stacked the scores are not smooth.

    Of several objectives, a share of the candidates climbs a weighting of its own by the augmented
    Chebyshev function of ParEGO (Knowles, IEEE TEC 10(1), 2006), so that the whole front is found.

    It remembers at most as many evaluations as it can predict from within milliseconds: the latest, and
    the best in each respect.
    """

    operator: ClassVar[str] = "prediction"
    supports_reevaluation: ClassVar[bool] = True
    declared_options: ClassVar[Mapping[str, Option]] = {
        "exploration": Option(0.5, "standard deviations that are added to the prediction, on average", 0, 10),
        "front": Option(0.5, "share of candidates that climb a weighting of their own", 0, 1),
        "recombined": Option(0.25, "share of candidates that are recombined from the best ones", 0, 1),
        "memory": Option(120, "evaluations that are predicted from", 20, 1000),
    }

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self._blas = ThreadpoolController()
        self._known = EvaluationMemory(int(self.options["memory"]), self.scalar)
        self._genomes: set[Genome] = set()
        self._posterior: ItemPosterior | None = (
            None  # built when first needed: it takes as long as many tells
        )

    @property
    def population(self) -> int:
        """How many candidates are proposed from one state of the model: as asked for, or 8 at most."""
        return self.setup.population or min(USUAL_POPULATION, self.setup.budget or USUAL_POPULATION)

    def learn(self, evaluation: Evaluation) -> None:
        """Remembers the evaluation, and forgets the least evaluation_memory one where there are too many."""
        self._known.add(evaluation)
        self._genomes.add(evaluation.genome)
        self._posterior = None

    def learn_again(self, evaluation: Evaluation) -> None:
        """Remembers what a candidate is worth now, if it is still remembered."""
        self._known.replace(evaluation)
        self._posterior = None

    def propose(self, number: int) -> Genome:
        """Returns the genome that one optimistic view of the model holds for the best, or a recombination."""
        rng = self.rng(number)
        if len(self._known.evaluations) < FEWEST:
            return self._near_the_start(rng)
        if self._recombines(rng):
            return self._recombined(rng)
        weighting = self._weighting(rng)
        return self._climb(rng, float(self.options["exploration"]) * rng.exponential(), weighting)

    def origin(self, number: int) -> Origin:
        """Returns the evaluation from which the climb began, or those that were recombined."""
        rng, known = self.rng(number), self._known.evaluations
        if len(known) < FEWEST:
            return Origin("sample")
        if self._recombines(rng):
            return Origin("recombination", tuple(dict.fromkeys(e.number for e in self._trio(rng))))
        best = self._posterior_now().best(self._weighting(rng))
        return Origin(self.operator, (known[best].number,))

    def mean(self) -> Genome | None:
        """Returns what the model holds for the best, without any optimism."""
        if len(self._known.evaluations) < FEWEST or all(e.baseline for e in self._known.evaluations):
            return None
        return self._climb(self.rng(_MEAN), 0.0, None, again=True)

    def _near_the_start(self, rng: np.random.Generator) -> Genome:
        middle = self.position_of(initial_genome(self.variables))
        drawn = middle + self.setup.sigma * rng.standard_normal(len(middle))
        return self.nearer(self.genome_at(np.clip(drawn, 0, 1)), rng)

    def _recombines(self, rng: np.random.Generator) -> bool:
        return rng.random() < float(self.options["recombined"])

    def _trio(self, rng: np.random.Generator) -> tuple[Evaluation, Evaluation, Evaluation]:
        """Returns one of the best, the better the likelier, and two others of them."""
        best = sorted(self._known.evaluations, key=self.rank, reverse=True)[:ELITES]
        first = min(int(rng.exponential(USUAL_PLACE)), len(best) - 1)
        plus, minus = rng.choice(len(best), size=2, replace=False)
        return best[first], best[plus], best[minus]

    def _recombined(self, rng: np.random.Generator) -> Genome:
        """Adds to some genes of one of the best a part of the difference between two others."""
        one, plus, minus = (self.position_of(evaluation.genome) for evaluation in self._trio(rng))
        changed = rng.random(len(one)) < rng.choice(CROSSOVERS)
        changed[rng.integers(len(one))] = True
        step = rng.choice(FACTORS) * (plus - minus) + JITTER * rng.standard_normal(len(one))
        return self.nearer(self.genome_at(mirrored(one + changed * step)), rng)

    def _weighting(self, rng: np.random.Generator) -> Array | None:
        """Returns a weight per objective, or None for the stated sum."""
        count = len(self.setup.weights)
        if count == 1 or rng.random() >= float(self.options["front"]):
            return None
        return np.asarray(rng.dirichlet(np.ones(count)), dtype=np.float64)

    def _posterior_now(self) -> ItemPosterior:
        if self._posterior is None:
            evaluations = self._known.evaluations
            positions = np.array([self.position_of(evaluation.genome) for evaluation in evaluations])
            with self._blas.limit(limits=1, user_api="blas"):
                self._posterior = ItemPosterior(positions, evaluations, self.setup.weights)
        return self._posterior

    def _climb(
        self, rng: np.random.Generator, optimism: float, weighting: Array | None, *, again: bool = False
    ) -> Genome:
        """Climbs the model from its best point; returns the best feasible genome that was not evaluated.

        Args:
            rng: Of the candidate.
            optimism: Standard deviations that are added to the predictions.
            weighting: One number per objective; None for the stated sum.
            again: Takes a genome that was told, too.
        """
        item_posterior = self._posterior_now()
        start = item_posterior.positions[item_posterior.best(weighting)]
        count = len(start)
        with self._blas.limit(limits=1, user_api="blas"):
            steps = REACH * rng.random((FIRST_DRAWS, 1))
            points = np.clip(start + steps * rng.standard_normal((FIRST_DRAWS, count)), 0, 1)
            values = item_posterior.values(points, optimism, weighting)
            for _ in range(ROUNDS):
                best = np.argsort(-values, kind="stable")[:SURVIVORS]
                points, values = points[best], values[best]
                spread = SHRINKING * (points.std(axis=0) + LEAST_STEP)
                drawn = points[rng.integers(len(points), size=DRAWS)]
                drawn = np.clip(drawn + spread * rng.standard_normal((DRAWS, count)), 0, 1)
                points = np.concatenate([points, drawn])
                values = np.concatenate([values, item_posterior.values(drawn, optimism, weighting)])
        order = np.argsort(-values, kind="stable")
        genomes = (self.genome_at(points[place]) for place in order)
        fresh = (g for g in genomes if (again or g not in self._genomes) and self.is_feasible(g))
        return next(fresh, None) or self.nearer(self.genome_at(points[order[0]]), rng)
