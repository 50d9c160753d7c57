"""Model-GLUE: a zoo is clustered, each cluster merged, and the winners merged (2410.05357)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from search_spaces.genome import Genome, Integer, Real, Variable, initial_genome
from service.optimizers.base import Evaluation, Optimizer, OptimizerSetup, Origin
from service.optimizers.breeding import checked_kinship, owners_of
from service.optimizers.cma_es import CmaEs
from service.optimizers.options import Option

LARGEST_SHARE = 1.5  # of a cluster's winner in the last stage


class ModelGlue(Optimizer):
    """Searches by CMA-ES within each cluster of similar parents, then for the mixture of the winners.

    Parents belong together where their kinship reaches `threshold`, directly or by way of others.
    While a cluster is searched, other clusters' parents contribute nothing.  In the last stage every
    winner's coefficients are scaled by one number each.  Genes that belong to no parent are searched in
    every cluster, and are the best winner's in the last stage.

    Stages follow from candidate numbers: the clusters take the first half of the budget in turn.
    """

    smallest_population: ClassVar[int] = 3
    operator: ClassVar[str] = "sample within a cluster"
    needs_kinship: ClassVar[bool] = True
    declared_options: ClassVar[Mapping[str, Option]] = {
        "threshold": Option(0.5, "kinship from which parents belong together", -1.0, 1.0),
        "per_cluster": Option(60, "candidates for each cluster, where the budget is not known", 3, 100_000),
    }

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        owners = owners_of(self.variables)
        present = {owner for owner in owners if owner is not None}
        found = clusters_of(checked_kinship(setup), float(self.options["threshold"]))
        self.clusters = [its for cluster in found if (its := cluster & present)]
        self._genes = [
            [i for i, owner in enumerate(owners) if owner is None or owner in cluster]
            for cluster in self.clusters
        ]
        self._own = [
            np.array([i for i, owner in enumerate(owners) if owner in cluster], dtype=np.intp)
            for cluster in self.clusters
        ]
        self._nothing = tuple(
            _least(variable, owner) for variable, owner in zip(self.variables, owners, strict=True)
        )
        self._start = 0  # number of the first evolved candidate
        self._stages: list[Optimizer] = [self._stage(genes) for genes in self._genes]
        scales = tuple(Real(f"cluster {i}", 0.0, LARGEST_SHARE, 1.0) for i in range(len(self.clusters)))
        self._last = CmaEs(self._inner(scales))
        self._winners: list[Evaluation | None] = [None for _ in self.clusters]

    @property
    def population(self) -> int:
        """How many candidates make a generation: 4 + 3 ln n, as for CMA-ES."""
        return self.setup.population or 4 + int(3 * math.log(len(self.variables)))

    @property
    def per_cluster(self) -> int:
        """How many candidates a cluster is searched with."""
        if self.setup.budget is None:
            return int(self.options["per_cluster"])
        return max(1, self.setup.budget // (2 * len(self.clusters)))

    def propose(self, number: int) -> Genome:
        """Returns a sample of the number's cluster, or of the last stage."""
        stage = self._stage_of(number)
        if stage is None:
            scales = self._last.propose(number)
            return self._combined(np.array(scales, dtype=np.float64))
        return self._whole(stage, self._stages[stage].propose(number))

    def origin(self, number: int) -> Origin:
        """Returns, for the last stage, the clusters' winners."""
        if self._stage_of(number) is not None:
            return Origin(self.operator)
        return Origin("merge of clusters", tuple(w.number for w in self._winners if w is not None))

    def learn(self, evaluation: Evaluation) -> None:
        """Tells the stage that the candidate belongs to; baselines are told to all clusters they fit."""
        if evaluation.baseline:
            self._start = max(self._start, evaluation.number + 1)
            for stage in range(len(self.clusters)):
                if self._whole(stage, self._part(stage, evaluation.genome)) == evaluation.genome:
                    self._learn_in(stage, evaluation)
            return
        its = self._stage_of(evaluation.number)
        if its is not None:
            self._learn_in(its, evaluation)
        else:
            scales = tuple(float(scale) for scale in self._scales_of(evaluation.genome))
            self._last.learn(replace(evaluation, genome=scales))

    def _learn_in(self, stage: int, evaluation: Evaluation) -> None:
        self._stages[stage].learn(replace(evaluation, genome=self._part(stage, evaluation.genome)))
        winner = self._winners[stage]
        if winner is None or self.rank(evaluation) > self.rank(winner):
            self._winners[stage] = evaluation

    def _stage_of(self, number: int) -> int | None:
        """Returns which cluster a candidate searches; None in the last stage."""
        stage = max(number - self._start, 0) // self.per_cluster
        return stage if stage < len(self.clusters) else None

    def _stage(self, genes: list[int]) -> CmaEs:
        return CmaEs(self._inner(tuple(self.variables[i] for i in genes)))

    def _inner(self, variables: tuple[Variable, ...]) -> OptimizerSetup:
        return replace(
            self.setup, variables=variables, options={}, measures=(), budget=None, is_feasible=None
        )

    def _part(self, stage: int, genome: Genome) -> Genome:
        return tuple(genome[i] for i in self._genes[stage])

    def _whole(self, stage: int, part: Genome) -> Genome:
        """Returns a genome in which other clusters contribute nothing."""
        genome = list(self._nothing)
        for place, gene in zip(self._genes[stage], part, strict=True):
            genome[place] = gene
        return tuple(genome)

    def _combined(self, scales: NDArray[np.float64]) -> Genome:
        """Returns the winners' coefficients, each cluster's scaled by its number."""
        found = [winner for winner in self._winners if winner is not None]
        best = max(found, key=self.rank).genome if found else initial_genome(self.variables)
        genome = list(best)
        for own, winner, scale in zip(self._own, self._winners, scales, strict=True):
            source = winner.genome if winner is not None else best
            for i in own:
                genome[i] = _scaled(self.variables[i], source[i], float(scale))
        return tuple(genome)

    def _scales_of(self, genome: Genome) -> NDArray[np.float64]:
        """Returns the scales that explain a genome best: the projections on the winners."""
        scales = np.ones(len(self.clusters))
        for stage, (own, winner) in enumerate(zip(self._own, self._winners, strict=True)):
            reals = [i for i in own if _is_weight(self.variables[i])]
            if winner is None or not reals:
                continue
            source = np.array([winner.genome[i] for i in reals], dtype=np.float64)
            here = np.array([genome[i] for i in reals], dtype=np.float64)
            if source @ source > 0:
                scales[stage] = np.clip(here @ source / (source @ source), 0.0, LARGEST_SHARE)
        return np.round(scales, 9)


def clusters_of(kinship: NDArray[np.float64], threshold: float) -> list[set[int]]:
    """Returns the connected sets of parents whose kinship reaches the threshold, first parents first."""
    left, found = list(range(len(kinship))), []
    while left:
        cluster, edge = set(), [left[0]]
        while edge:
            parent = edge.pop()
            cluster.add(parent)
            edge += [other for other in left if other not in cluster and kinship[parent, other] >= threshold]
        found.append(cluster)
        left = [parent for parent in left if parent not in cluster]
    return found


def _is_weight(variable: Variable) -> bool:
    """Says whether a gene is scaled with its model's share: weights are, densities are not."""
    return isinstance(variable, Real) and (variable.axis is None or variable.axis.parameter == "weight")


def _scaled(variable: Variable, gene: float | int | str, scale: float) -> float | int | str:
    if not (isinstance(variable, Real) and _is_weight(variable)):
        return gene
    return round(min(max(float(gene) * scale, variable.low), variable.high), 9)


def _least(variable: Variable, owner: int | None) -> float | int | str:
    """Returns the gene by which a parent contributes least; where no parent has one, the initial one."""
    if owner is None or not _is_weight(variable) or isinstance(variable, Integer):
        return variable.initial
    assert isinstance(variable, Real)  # noqa: S101 - weights are
    return min(max(0.0, variable.low), variable.high)
