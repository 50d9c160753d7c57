"""NSGA-II: the standard multi-objective genetic algorithm (Deb et al., 2002)."""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from service.optimizers.base import Evaluation, OptimizerSetup
from service.optimizers.genetic import Genetic


class Nsga2(Genetic):
    """Breeds from the least dominated candidates, those in thin regions of the front first.

    Evolved candidates compete with the members once a generation of them has been told.  A candidate that
    keeps the constraints dominates those that break them, and of two that break them the one that breaks
    them less (section VI-A).
    """

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self._pending: list[Evaluation] = []
        self._has_selected = False
        self._ranks: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._crowding: NDArray[np.float64] = np.empty(0)

    def learn(self, evaluation: Evaluation) -> None:
        """Lets a generation of evolved candidates, once complete, compete with the members."""
        self._tried.add(evaluation.genome)
        if evaluation.baseline:
            self._members.append(evaluation)
            self._compare()
            return
        self._pending.append(evaluation)
        if len(self._pending) == self.population:
            self._select([*self._members, *self._pending])
            self._pending = []
            self._has_selected = True

    def learn_again(self, evaluation: Evaluation) -> None:
        """Gives a member, or one that is about to compete, another fitness."""
        self._pending = [evaluation if p.number == evaluation.number else p for p in self._pending]
        if any(member.number == evaluation.number for member in self._members):
            super().learn_again(evaluation)
            self._compare()

    def _compare(self) -> None:
        self._ranks, self._crowding = ranks_and_crowding(
            [m.fitness for m in self._members], [m.violation for m in self._members]
        )

    def _select(self, rivals: Sequence[Evaluation]) -> None:
        """Keeps the best `population` of the rivals: by rank, then by crowding distance."""
        ranks, crowding = ranks_and_crowding(
            [rival.fitness for rival in rivals], [rival.violation for rival in rivals]
        )
        kept = np.lexsort((-crowding, ranks))[: self.population]
        self._members = [rivals[i] for i in kept]
        self._ranks, self._crowding = ranks[kept], crowding[kept]

    @property
    def _breeds(self) -> bool:
        return self._has_selected

    def _parent(self, rng: np.random.Generator) -> Evaluation:
        """Returns the better of two members: of lower rank, or of the same rank and less crowded."""
        one, other = map(int, rng.choice(len(self._members), size=2, replace=False))
        if (self._ranks[one], -self._crowding[one]) <= (self._ranks[other], -self._crowding[other]):
            return self._members[one]
        return self._members[other]


def ranks_and_crowding(
    fitness: Sequence[tuple[float, ...]], violations: Sequence[float] = ()
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Returns each point's front (0 is dominated by none) and its crowding distance within it.

    The crowding distance is the sum, over the objectives, of the gap between a point's neighbours as
    a share of the front's extent; infinite at the ends (Deb et al., 2002, section III-B).  Points with
    a violation come after all others, a front for each size of it.
    """
    points = np.array(fitness, dtype=np.float64)
    broken = np.array(violations or [0.0] * len(points))
    ranks = np.zeros(len(points), dtype=np.int64)
    if (broken == 0).any():
        ranks[broken == 0] = moocore.pareto_rank(points[broken == 0], maximise=True)
    sizes = np.unique(broken[broken > 0])
    ranks[broken > 0] = ranks.max(initial=0) + 1 + np.searchsorted(sizes, broken[broken > 0])
    crowding = np.zeros(len(points))
    for rank in np.unique(ranks):
        front = np.flatnonzero(ranks == rank)
        for values in points[front].T:
            order = np.argsort(values, kind="stable")
            extent = values[order[-1]] - values[order[0]]
            crowding[front[order[[0, -1]]]] = np.inf
            if extent > 0:
                crowding[front[order[1:-1]]] += (values[order[2:]] - values[order[:-2]]) / extent
    return ranks, crowding
