"""CycleQD: one archive per objective, taking turns (Kuroki et al., ICLR 2025, 2410.14735)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from search_spaces.errors import SpaceError
from search_spaces.genome import Genome, Real
from service.archives.grid import GridArchive, MeasureAxis
from service.optimizers.base import Evaluation, OptimizerSetup, Origin
from service.optimizers.breeding import Breeding, Position, origin_of, owners_of, roulette
from service.optimizers.options import Option
from service.optimizers.variation import mutation

MARGIN = 0.15  # cells reach from 85 % of the weakest baseline to 115 % of the strongest
LOW_ALPHA, HIGH_ALPHA = 0.5, 0.8
SVD = ("svd_rate", "svd_seed")  # parameters of the genes that scale singular values


class CycleQd(Breeding):
    """Archives take turns: one objective is the quality, the others are the measures.

    Every candidate is offered to all archives.  Candidate n breeds from archive n mod objectives: two
    elites, drawn by how good they are in everything, are mixed with nearly equal shares, and one
    parent's coefficients are mutated.  Where the space has genes for it, the mutation scales the
    singular values of that parent's task vectors, as published; else it scales its coefficients, layer
    by layer, by factors of the same distribution: uniform from 0 to `most_scale`.

    The last candidate of the budget is the published final model: the best elites of all archives,
    mixed by the softmax of their qualities.  `aggregate` returns it at any time.
    """

    smallest_population: ClassVar[int] = 2
    operator: ClassVar[str] = "crossover"
    steady_state: ClassVar[bool] = True
    declared_options: ClassVar[Mapping[str, Option]] = {
        "cells": Option(15, "cells of an archive along each objective", 1, 1000),
        "share_spread": Option(0.01, "standard deviation of the shares in a crossover", 0.0, 1.0),
        "mutation_rate": Option(1.0, "children that are mutated", 0.0, 1.0),
        "most_scale": Option(2.0, "largest factor that a mutation scales a coefficient by", 0.0, 10.0),
    }

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        if len(setup.weights) < 2:
            raise SpaceError(
                "optimizer.algorithm",
                "cycleqd needs two objectives or more, to take turns",
                "name more objectives, or use map_elites",
            )
        self._known: list[Evaluation] = []  # baselines, and candidates from before there were archives
        self._evaluations: dict[int, Evaluation] = {}  # of elites, past ones included
        self._first: int | None = None
        self._evolved = 0
        self.archives: tuple[GridArchive, ...] = ()
        self._owners = owners_of(self.variables)
        parameters = [v.axis.parameter if v.axis else "" for v in self.variables]
        self._is_weight = self.is_real & np.array([parameter == "weight" for parameter in parameters])
        self._low = np.array([v.low if isinstance(v, Real) else 0.0 for v in self.variables])
        self._span = np.array([v.high - v.low if isinstance(v, Real) else 1.0 for v in self.variables])
        self._is_svd = np.array([parameter in SVD for parameter in parameters])

    @property
    def population(self) -> int:
        """How many candidates are proposed at once: as many as asked for, or 20."""
        return self.setup.population or 20

    def child(self, number: int) -> tuple[Genome, Origin]:
        """Returns a child of two elites; a random genome while there are no archives."""
        rng = self.rng(number)
        if self._is_last(number) and (final := self.aggregate(rng)) is not None:
            return final
        archive = self.archives[number % len(self.archives)] if self.archives else GridArchive(())
        elites = [self._evaluations[elite.number] for elite in archive]
        if len(elites) < 2:
            return self.anything(rng)
        chances = elite_chances([elite.fitness for elite in elites])
        first = roulette(chances, rng)
        second = roulette(np.where(np.arange(len(elites)) == first, 0.0, chances), rng)
        one, other = elites[first], elites[second]
        shares = np.abs(rng.normal(1.0, float(self.options["share_spread"]), size=2))
        position = self.mixed([self.position_of(e.genome) for e in (one, other)], list(shares), rng)
        if self._is_svd.any():  # these are records of a mutation: half of one and half of another is none
            position = np.where(self._is_svd, self.position_of(one.genome), position)
        if rng.random() >= float(self.options["mutation_rate"]):
            return self.genome_at(position), origin_of("crossover", one, other)
        position, kind = self._mutated(position, rng)
        return self.genome_at(position), origin_of(f"crossover and {kind}", one, other)

    def _mutated(self, position: Position, rng: np.random.Generator) -> tuple[Position, str]:
        """Returns the point with one parent's coefficients changed, and what kind of mutation it was."""
        owners = sorted({owner for owner in self._owners if owner is not None})
        owner = owners[rng.integers(len(owners))] if owners else None
        its = np.array([each == owner for each in self._owners])
        fresh = rng.random(len(position))
        if (self._is_svd & its).any():
            return np.where(self._is_svd & its, fresh, position), "singular value mutation"
        scaled = its & self._is_weight
        if not scaled.any():
            return np.where(its, mutation(position, self.is_real, rng), position), "mutation"
        weights = self._low + position * self._span
        weights *= rng.uniform(0.0, float(self.options["most_scale"]), size=len(weights))
        return np.where(scaled, np.clip((weights - self._low) / self._span, 0, 1), position), "scaling"

    def aggregate(self, rng: np.random.Generator) -> tuple[Genome, Origin] | None:
        """Returns the softmax-weighted mixture of every archive's best elite; None without elites."""
        best = [
            max(archive, key=lambda e: (e.quality, -e.number)) for archive in self.archives if len(archive)
        ]
        if not best:
            return None
        chosen = [self._evaluations[elite.number] for elite in best]
        qualities = np.array([elite.quality for elite in best])
        shares = np.exp(qualities - qualities.max())
        position = self.mixed([self.position_of(e.genome) for e in chosen], list(shares), rng)
        return self.genome_at(position), origin_of("aggregation", *chosen)

    def _is_last(self, number: int) -> bool:
        budget = self.setup.budget
        return budget is not None and self._first is not None and number == self._first + budget - 1

    def learn(self, evaluation: Evaluation) -> None:
        """Offers the candidate to all archives; the first generation decides their cells."""
        if not evaluation.baseline:
            self._evolved += 1
            self._first = min(
                evaluation.number, self._first if self._first is not None else evaluation.number
            )
        if self.archives:
            self._offer(evaluation)
            return
        self._known.append(evaluation)
        if self._evolved >= self.population:
            self.archives = self._with_cells()
            for known in self._known:
                self._offer(known)
            self._known = []

    def _with_cells(self) -> tuple[GridArchive, ...]:
        """Returns empty archives whose cells reach a little beyond what the baselines can do."""
        known = [e for e in self._known if e.baseline]
        fitness = np.array([e.fitness for e in (known if len(known) > 1 else self._known)])
        axes = []
        for objective, values in enumerate(fitness.T):
            low, high = values.min() - MARGIN * abs(values.min()), values.max() + MARGIN * abs(values.max())
            high = high if high > low else low + 1.0
            axes.append(MeasureAxis(f"objective {objective}", low, high, int(self.options["cells"])))
        return tuple(
            GridArchive((*axes[:quality], *axes[quality + 1 :], *self.setup.measures))
            for quality in range(len(axes))
        )

    def _offer(self, evaluation: Evaluation) -> None:
        if evaluation.violation or len(evaluation.measures) != len(self.setup.measures):
            return
        fitness = evaluation.fitness
        for quality, archive in enumerate(self.archives):
            measures = (*fitness[:quality], *fitness[quality + 1 :], *evaluation.measures)
            if archive.add(evaluation.number, fitness[quality], measures):
                self._evaluations[evaluation.number] = evaluation


def elite_chances(fitness: Sequence[tuple[float, ...]]) -> Position:
    """Returns what elites are drawn by, shape [elites]: a product over the objectives.

    gamma_j = prod over i of (alpha_low + norm(f_ij) (alpha_high - alpha_low)), with norm from 0 for the
    archive's worst to 1 for its best in objective i (section 3.4).  The authors' code computes
    alpha_low + norm(f_ij) alpha_high; the paper is followed, whose constants are the ends of a range.
    """
    points = np.array(fitness, dtype=np.float64)
    worst, extent = points.min(axis=0), np.ptp(points, axis=0)
    normed = np.where(extent > 0, (points - worst) / np.where(extent > 0, extent, 1.0), 1.0)
    return np.asarray((LOW_ALPHA + normed * (HIGH_ALPHA - LOW_ALPHA)).prod(axis=1), dtype=np.float64)
