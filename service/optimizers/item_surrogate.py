"""A model of every item of the benchmarks, and candidates where it expects most: few evaluations count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from search_spaces.genome import Genome, initial_genome
from service.optimizers.base import Evaluation, Forecast, Optimizer, OptimizerSetup, Origin
from service.optimizers.basins import Basins
from service.optimizers.cma_es import CmaEs, mirrored
from service.optimizers.evaluation_memory import EvaluationMemory
from service.optimizers.item_posterior import DECIMALS, ItemPosterior
from service.optimizers.model_climb import STARTS, Region, climb
from service.optimizers.options import Option

Array = NDArray[np.float64]

USUAL_POPULATION = 8
FEWEST = 3  # evaluations, before which candidates are drawn around the start
ELITES, USUAL_PLACE = 12, 3.0  # of recombination: how many may take part, and the first one's mean rank
FACTORS, CROSSOVERS, JITTER = (0.3, 0.6, 0.9), (0.2, 0.5, 1.0), 0.02  # of recombination
LINED = 24  # of the best known points, through which lines are drawn
CAUTION = 1.0  # deviations that are subtracted where the best is to be named
APART = 0.05  # how far candidates are from all others, in units of the distance over which scores change
CONSIDERED = 40  # of the climb's points
SPREAD = 2.0  # of a trust region's radius: each candidate has its own, up to so many times more or less
MOST_PENDING = 15  # candidates before one, of which it keeps apart
HOPE = 1.0  # deviations that are added where it is asked what can still be gained
_MEAN, _LANES, _FORECAST = 2**32, 2**33, 2**34  # no candidate has these numbers


class ItemSurrogate(Optimizer):
    """Bayesian optimization that predicts each item's answer instead of the benchmark's mean.

    Of a multiple-choice item it is told by how much the right answer is likelier than the best wrong one.
    This margin changes smoothly with the coefficients of a merge, where the accuracy is a sum of steps; so
    a Gaussian process of all margins, with one kernel, foresees which items a recipe will answer, and from
    that the accuracy, after a few evaluations (the composite functions of Astudillo and Frazier,
    1906.01537; many outputs: Maddox et al., 2106.12997).  Of answers without margins it predicts, in
    logits, how many of each group of items are right; of lengths and the like the values.

    Every candidate climbs its own optimistic view of the model: mean plus an exponentially distributed
    number of standard deviations (randomized upper confidence bounds: Berk et al., 2006.04296; Takeno et
    al., 2302.01511).  It keeps away from what is known, and from the candidates just before it, which are
    under way: their genomes follow from the same state, so that the law is kept.

    It climbs from the best points anywhere, or around the best of the basin in which the search starts, as
    long as that one may overtake (see `Basins`).  A share of the candidates asks no model: they are
    recombined from the best by differences, as in differential evolution, because where a network is cut
    and stacked the scores are not smooth.

    Of several objectives, a share of the candidates climbs a weighting of its own by the augmented
    Chebyshev function of ParEGO (Knowles, IEEE TEC 10(1), 2006), so that the whole front is found.

    It remembers at most as many evaluations as it can predict from within milliseconds: the latest, and
    the best in each respect.  So once twice as many were told, CMA-ES goes on from the best of them beside
    the model, with a share of the candidates.
    """

    operator: ClassVar[str] = "prediction"
    supports_reevaluation: ClassVar[bool] = True
    forecasts: ClassVar[bool] = True
    reads_items: ClassVar[bool] = True
    declared_options: ClassVar[Mapping[str, Option]] = {
        "exploration": Option(0.5, "standard deviations that are added to the prediction, on average", 0, 10),
        "front": Option(0.5, "share of candidates that climb a weighting of their own", 0, 1),
        "recombined": Option(0.25, "share of candidates that are recombined from the best ones", 0, 1),
        "evolved": Option(0.4, "share of candidates from CMA-ES, once twice the memory was told", 0, 1),
        "memory": Option(120, "evaluations that are predicted from", 20, 1000),
    }

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self._blas = ThreadpoolController()
        self._known = EvaluationMemory(int(self.options["memory"]), self.scalar)
        self._genomes: set[Genome] = set()
        self._told: set[int] = set()
        self._start = self.position_of(initial_genome(self.variables))
        self._basins = Basins(self._start)
        self._proposed: dict[int, Genome] = {}
        self._evolution = CmaEs(replace(setup, options={}, population=None))
        self._posterior: ItemPosterior | None = (
            None  # built when first needed: it takes as long as many tells
        )

    @property
    def population(self) -> int:
        """How many candidates are proposed from one state of the model: as asked for, or 8 at most."""
        return self.setup.population or min(USUAL_POPULATION, self.setup.budget or USUAL_POPULATION)

    def learn(self, evaluation: Evaluation) -> None:
        """Remembers the evaluation, and forgets the least evaluation_memory one where there are too many."""
        position, known = self.position_of(evaluation.genome), self._known
        before = ([e.number for e in known.evaluations], np.reshape(known.positions, (-1, len(position))))
        rank = self.rank(evaluation)
        self._basins.add(evaluation.number, position, rank, before, baseline=evaluation.baseline)
        known.add(evaluation, position)
        # What others proposed is to CMA-ES what baselines are: it may begin there.
        own = not evaluation.baseline and self._evolves(evaluation.number)
        self._evolution.learn(evaluation if own else replace(evaluation, baseline=True))
        self._genomes.add(evaluation.genome)
        self._told.add(evaluation.number)
        self._forget()

    def learn_again(self, evaluation: Evaluation) -> None:
        """Remembers what a candidate is worth now, if it is still remembered."""
        self._known.replace(evaluation)
        self._evolution.learn_again(evaluation)
        self._forget()

    def _forget(self) -> None:
        """Drops what was worked out from what was known until now."""
        self._posterior = None
        self._proposed = {}

    def propose(self, number: int) -> Genome:
        """Returns the genome that one optimistic view of the model holds for the best, or a recombination."""
        if len(self._known.evaluations) < FEWEST:
            return self._near_the_start(self.rng(number))
        first = max(number - number % self.population, number - MOST_PENDING)
        pending: list[Genome] = []
        for one in range(first, number + 1):
            if one in self._told and one != number:
                continue
            if one not in self._proposed:
                self._proposed[one] = self._proposal(one, pending)
            pending.append(self._proposed[one])
        return self._proposed[number]

    def _proposal(self, number: int, pending: Sequence[Genome]) -> Genome:
        """Returns a candidate's genome, where those before it are under way."""
        rng = self.rng(number)
        if self._evolves(number):
            return self.nearer(self._evolution.propose(number), rng)
        if self._recombines(rng):
            return self._recombined(rng)
        weighting = self._weighting(rng)
        of_start = self._looks_around_the_start(rng)
        optimism = float(self.options["exploration"]) * rng.exponential()
        radius = float(SPREAD ** rng.uniform(-1, 1))
        region = self._region(weighting, optimism, of_start=of_start, radius=radius)
        points = list(self._climb(rng, optimism, weighting, region))
        others = [*self._known.positions, *map(self.position_of, pending)]
        return self._first_apart(points, others, rng)

    def origin(self, number: int) -> Origin:
        """Returns the evaluation from which the climb began, or those that were recombined."""
        rng, known = self.rng(number), self._known.evaluations
        if len(known) < FEWEST or self._evolves(number):
            return Origin("sample")
        if self._recombines(rng):
            return Origin("recombination", tuple(dict.fromkeys(e.number for e in self._trio(rng))))
        weighting = self._weighting(rng)
        among = self._members(of_start=self._looks_around_the_start(rng))
        if among == []:
            return Origin("sample")
        best = self._posterior_now().best(weighting, among)
        return Origin(self.operator, (known[best].number,))

    def mean(self) -> Genome | None:
        """Returns what the model holds for the best where it is careful: a deviation is subtracted."""
        if len(self._known.evaluations) < FEWEST or all(e.baseline for e in self._known.evaluations):
            return None
        region = self._region(None, -CAUTION, of_start=False)
        points = list(self._climb(self.rng(_MEAN), -CAUTION, None, region))
        genomes = map(self.genome_at, points)
        return next(filter(self.is_feasible, genomes), None) or self.genome_at(region.starts[0])

    def forecast(self, candidates: int) -> Forecast | None:
        """Returns what the model expects of so many of the points that it holds for promising."""
        known = self._known.evaluations
        if len(known) < FEWEST or all(evaluation.baseline for evaluation in known):
            return None
        rng = self.rng(_FORECAST)
        points = list(self._climb(rng, HOPE, None, self._region(None, HOPE, of_start=False)))
        chosen = np.array(points[:: max(1, len(points) // candidates)][:candidates])
        with self._blas.limit(limits=1, user_api="blas"):
            return Forecast(candidates, *self._posterior_now().gain(chosen, rng))

    def _near_the_start(self, rng: np.random.Generator) -> Genome:
        drawn = self._start + self.setup.sigma * rng.standard_normal(len(self._start))
        return self.nearer(self.genome_at(np.clip(drawn, 0, 1)), rng)

    def _evolves(self, number: int) -> bool:
        """Says whether a candidate is CMA-ES's: the model remembers too little to go on alone for long.

        The number alone decides, so that CMA-ES can be told what it proposed.
        """
        late = number >= 2 * int(self.options["memory"])
        return late and self._lane(number) < float(self.options["evolved"])

    def _lane(self, number: int) -> float:
        return float(np.random.default_rng([self.setup.seed, _LANES, number]).random())

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
            with self._blas.limit(limits=1, user_api="blas"):
                self._posterior = ItemPosterior(
                    np.array(self._known.positions), self._known.evaluations, self.setup.weights
                )
        return self._posterior

    def _looks_around_the_start(self, rng: np.random.Generator) -> bool:
        return rng.random() < self._basins.share_of_start()

    def _members(self, *, of_start: bool) -> list[int] | None:
        """Returns the places of the remembered evaluations of the start's basin; None for all of them."""
        if not of_start:
            return None
        numbers = [evaluation.number for evaluation in self._known.evaluations]
        return [place for place, n in enumerate(numbers) if self._basins.belongs_to_start(n)]

    def _region(
        self, weighting: Array | None, optimism: float, *, of_start: bool, radius: float = 1.0
    ) -> Region:
        """Returns where to climb: around the best of the start's basin, or from the best points anywhere."""
        posterior, among = self._posterior_now(), self._members(of_start=of_start)
        positions, scales = posterior.positions, posterior.scales
        if among is not None:
            basin, start = self._basins.first, self._start
            if among:
                start = positions[posterior.best(weighting, among)]
            reach = np.minimum(basin.reach / scales, 1.0)
            return Region(start[None], reach, positions, radius=radius)
        values = posterior.values(positions, optimism, weighting)
        order = np.argsort(-values, kind="stable")
        first = posterior.best(weighting)
        starts = positions[[first, *order[:STARTS]]]
        reach = np.minimum(self._basins.others.reach / scales, 1.0)
        return Region(starts, reach, positions[order[:LINED]])

    def _climb(
        self, rng: np.random.Generator, optimism: float, weighting: Array | None, region: Region
    ) -> Iterator[Array]:
        """Yields points of the unit cube, what an optimistic view of the model holds for the best first."""
        posterior = self._posterior_now()
        with self._blas.limit(limits=1, user_api="blas"):
            yield from climb(region, lambda points: posterior.values(points, optimism, weighting), rng)

    def _first_apart(
        self, points: Sequence[Array], others: Sequence[Array], rng: np.random.Generator
    ) -> Genome:
        """Returns the first feasible point that is not nearly one of the others, or the farthest of them."""
        posterior = self._posterior_now()
        known = np.array(others) * posterior.scales
        best, farthest = None, -1.0
        for tried, point in enumerate(points):
            if tried >= CONSIDERED and best:
                break
            genome = self.genome_at(point)
            if genome in self._genomes or not self.is_feasible(genome):
                continue
            gap = float(np.sqrt(((known - point * posterior.scales) ** 2).sum(axis=1).min()))
            if round(gap, DECIMALS) >= APART * posterior.reach:
                return genome
            if gap > farthest:
                best, farthest = genome, gap
        return best or self.anywhere(rng)
