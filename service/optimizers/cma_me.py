"""CMA-ME and CMA-MAE: quality diversity by covariance matrix adaptation."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import SpaceError
from search_spaces.genome import Genome, initial_genome
from service.archives.grid import GridArchive
from service.optimizers.base import Evaluation, Optimizer, OptimizerSetup
from service.optimizers.cma_es import mirrored
from service.optimizers.emitter import Added, Emitter, SharedArchive, Style, loaded_ribs
from service.optimizers.options import Option


class CmaMe(Optimizer):
    """CMA-ME (Fontaine et al., 1912.02400): emitters that seek new cells first, then better elites.

    Several normal distributions share one archive; candidate n is a sample of emitter n mod emitters.
    An emitter learns once its part of a generation has been told.  It begins again from a random
    elite when its candidates change nothing in the archive.  The first mean of all is the best
    baseline.  Samples outside the unit cube are mirrored back into it.
    """

    smallest_population: ClassVar[int] = 4
    needs_measures: ClassVar[bool] = True
    operator: ClassVar[str] = "emitter sample"
    declared_options: ClassVar[Mapping[str, Option]] = {
        "emitters": Option(2, "normal distributions at work", 1, 100),
    }

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        if importlib.util.find_spec("ribs") is None:
            remedy = "install it with `pip install 'evomerge[qd]'`, or use map_elites"
            raise SpaceError("optimizer.algorithm", "pyribs is not installed", remedy)
        self.archive = GridArchive(setup.measures)
        self._best = ((-math.inf, -math.inf), self.position_of(initial_genome(self.variables)))
        self._worst = math.inf  # fitness of those that may be elites
        self._waiting: list[list[Evaluation]] = [[] for _ in range(self._emitters)]
        self._known: list[Evaluation] = []  # placed before the archive was needed
        self._shared: SharedArchive | None = None  # begun once the least fitness is known
        self._working: list[Emitter] = []

    @property
    def population(self) -> int:
        """How many candidates make a generation: 4 + 3 ln n for each emitter."""
        return self.setup.population or self._emitters * (4 + int(3 * math.log(len(self.variables))))

    @property
    def _emitters(self) -> int:
        wanted = int(self.options["emitters"])
        most = (self.setup.population or 2 * wanted) // 2  # an emitter learns nothing from less than two
        return max(1, min(wanted, most))

    @property
    def style(self) -> Style:
        """Which of pyribs' rules it goes by."""
        return Style("2imp", "filter", "no_improvement")

    def propose(self, number: int) -> Genome:
        """Returns a sample of the number's emitter, or, before any has learned, around the first mean."""
        loaded_ribs()  # at the first ask, which delays no worker, rather than at a tell
        draw = self.rng(number).standard_normal(len(self.variables))
        place = number % self._emitters
        point = self._working[place].at(draw) if self._working else self._best[1] + self.setup.sigma * draw
        return self.genome_at(mirrored(point))

    def learn(self, evaluation: Evaluation) -> None:
        """Offers the candidate to the archive; a whole batch moves its emitter."""
        placed = bool(evaluation.measures) and not evaluation.violation
        if placed:
            scalar = self.scalar(evaluation.fitness)
            self._worst = min(self._worst, scalar)
            self.archive.add(evaluation.number, scalar, evaluation.measures)
        if evaluation.baseline:
            self._learn_baseline(evaluation, placed=placed)
            return
        place = evaluation.number % self._emitters
        batch = self._waiting[place]
        batch.append(evaluation)
        if len(batch) == max(2, self.population // self._emitters):
            self._begin()
            self._working[place].tell([self._offered(member) for member in batch])
            self._waiting[place] = []

    def _learn_baseline(self, evaluation: Evaluation, *, placed: bool) -> None:
        rank = self.rank(evaluation)
        if not self._working and rank > self._best[0] and not any(self._waiting):
            self._best = (rank, self.position_of(evaluation.genome))
        if not placed:
            return
        if self._shared is None:
            self._known.append(evaluation)
        else:
            self._offered(evaluation)

    def _begin(self) -> None:
        """Builds archive and emitters, now that the least fitness is known, and offers the baselines."""
        if self._shared is not None:
            return
        worst = 0.0 if math.isinf(self._worst) else self._worst
        style, seed, count = self.style, self.setup.seed, len(self.variables)
        self._shared = SharedArchive(count, self.setup.measures, style, worst=worst, seed=seed)
        batch = max(2, self.population // self._emitters)
        self._working = [
            Emitter(self._shared, style, mean=self._best[1], sigma=self.setup.sigma, batch=batch, seed=place)
            for place in range(self._emitters)
        ]
        for baseline in self._known:
            self._offered(baseline)

    def _offered(self, evaluation: Evaluation) -> Added:
        assert self._shared is not None  # noqa: S101 - `_begin` comes first
        point: NDArray[np.float64] = self.position_of(evaluation.genome)
        fitness = self.scalar(evaluation.fitness)
        if evaluation.violation or not evaluation.measures:
            return Added(point, fitness, None, 0, 0.0)
        status, improvement = self._shared.add(point, fitness, evaluation.measures)
        return Added(point, fitness, evaluation.measures, status, improvement)


class CmaMae(CmaMe):
    """CMA-MAE (Fontaine and Nikolaidis, 2205.10752): cells whose thresholds rise slowly.

    With a threshold that follows its elite by `learning_rate` only, an emitter is not drawn away from
    a good region as soon as its cells are filled: at 1 it is CMA-ME, at 0 it is CMA-ES.  The paper's
    0.01 is meant for a million candidates; with a thousand, 0.1 does better.
    """

    declared_options: ClassVar[Mapping[str, Option]] = {
        **CmaMe.declared_options,
        "learning_rate": Option(0.1, "how far a threshold follows its newest elite", 0.0, 1.0),
    }

    @property
    def style(self) -> Style:
        """Which of pyribs' rules it goes by."""
        return Style("imp", "mu", "basic", float(self.options["learning_rate"]))
