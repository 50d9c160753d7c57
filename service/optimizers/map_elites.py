"""MAP-Elites: the best model of every kind (Mouret and Clune, 1504.04909)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from search_spaces.genome import Genome, Real
from service.archives.grid import GridArchive
from service.optimizers.base import Evaluation, Optimizer, OptimizerSetup, Origin
from service.optimizers.options import Option


class MapElites(Optimizer):
    """Varies random elites; keeps the best candidate of every cell of the measures.

    A child is an elite, moved a random part of the way towards or away from another one and a little
    in every direction (iso+line: Vassiliades and Mouret, GECCO 2018; their step of 0.01 is meant for
    millions of candidates: with a thousand, 0.1 fills twice as much).  Genes that are not real numbers
    come from either elite, one in n drawn afresh.  Candidates without measures, or that break a
    constraint, are no elites.
    """

    needs_measures: ClassVar[bool] = True
    operator: ClassVar[str] = "iso+line"
    steady_state: ClassVar[bool] = True
    supports_reevaluation: ClassVar[bool] = True
    declared_options: ClassVar[Mapping[str, Option]] = {
        "iso_sigma": Option(0.1, "step in every direction, as a share of the ranges", 0.0, 1.0),
        "line_sigma": Option(0.2, "step along the line to the other elite", 0.0, 10.0),
    }

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self.archive = GridArchive(setup.measures)
        self._is_real = np.array([isinstance(variable, Real) for variable in self.variables])
        self._genomes: dict[int, Genome] = {}  # of elites, past ones included
        self._elites: list[int] = []  # their numbers, in the order of the cells
        self._evolved = 0

    @property
    def population(self) -> int:
        """How many candidates are proposed at once: as many as asked for, or 20."""
        return self.setup.population or 20

    def propose(self, number: int) -> Genome:
        """Returns a child of two elites, or a random genome while the first generation is not told."""
        rng = self.rng(number)
        parents = self._parents(rng)
        if parents is None:
            return self.anywhere(rng)
        one, other = (self.position_of(self._genomes[parent]) for parent in parents)
        iso = rng.normal(scale=float(self.options["iso_sigma"]), size=len(one))
        line = rng.normal(scale=float(self.options["line_sigma"]))
        moved = np.clip(one + iso + line * (other - one), 0.0, 1.0)
        inherited = np.where(rng.random(len(one)) < 0.5, one, other)
        fresh = np.where(rng.random(len(one)) < 1 / len(one), rng.random(len(one)), inherited)
        return self.genome_at(np.where(self._is_real, moved, fresh))

    def origin(self, number: int) -> Origin:
        """Returns the elites that the candidate is a child of."""
        parents = self._parents(self.rng(number))
        return Origin("random") if parents is None else Origin(self.operator, tuple(dict.fromkeys(parents)))

    def _parents(self, rng: np.random.Generator) -> tuple[int, int] | None:
        """Returns the numbers of two elites; None in the first generation or where there are none."""
        if self._evolved < self.population or not self._elites:
            return None
        one, other = rng.integers(len(self._elites), size=2)
        return self._elites[one], self._elites[other]

    def learn(self, evaluation: Evaluation) -> None:
        """Puts the candidate into its cell where it is the best there."""
        self._evolved += not evaluation.baseline
        if evaluation.violation or not evaluation.measures:
            return
        if self.archive.add(evaluation.number, self.scalar(evaluation.fitness), evaluation.measures):
            self._genomes[evaluation.number] = evaluation.genome
            self._elites = [elite.number for elite in self.archive]

    def learn_again(self, evaluation: Evaluation) -> None:
        """Takes an elite out of its cell, and puts it where it belongs now, if it is the best there."""
        if not self.archive.remove(evaluation.number):
            return
        if not evaluation.violation and evaluation.measures:
            self.archive.add(evaluation.number, self.scalar(evaluation.fitness), evaluation.measures)
        self._elites = [elite.number for elite in self.archive]
