"""SMS-EMOA: keeps the members that together dominate most (Beume, Naujoks and Emmerich, EJOR 2007)."""

from __future__ import annotations

from typing import ClassVar

import moocore
import numpy as np
from numpy.typing import NDArray

from service.optimizers.base import Evaluation
from service.optimizers.genetic import Genetic
from service.optimizers.nsga2 import ranks_and_crowding


class SmsEmoa(Genetic):
    """Drops, for every candidate it is told, the member of the last front that adds least hypervolume.

    It learns from each candidate at once, so that it loses nothing where workers never wait for a
    generation.  Against NSGA-II its fronts are spread more evenly, above all with three objectives or
    more.  Candidates that break constraints form the last fronts.
    """

    steady_state: ClassVar[bool] = True

    def learn(self, evaluation: Evaluation) -> None:
        """Takes the candidate in, and drops the least useful member where there are too many."""
        self._tried.add(evaluation.genome)
        self._members.append(evaluation)
        if len(self._members) > max(self.population, self.smallest_population):
            self._members.pop(_least_useful(self._members))

    @property
    def _breeds(self) -> bool:
        return len(self._members) >= self.population

    def _parent(self, rng: np.random.Generator) -> Evaluation:
        """Returns any member: all of them have been selected already."""
        return self._members[rng.integers(len(self._members))]


def _least_useful(members: list[Evaluation]) -> int:
    """Returns the place of the member to drop; of equals the one that came last."""
    fitness = [member.fitness for member in members]
    ranks, _ = ranks_and_crowding(fitness, [member.violation for member in members])
    last = np.flatnonzero(ranks == ranks.max())
    if len(last) == 1:
        return int(last[0])
    shares = contributions(np.array(fitness)[last])
    return int(last[np.flatnonzero(shares == shares.min())[-1]])


def contributions(front: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the hypervolume that only each point dominates, shape [points].

    Objectives are scaled to the front's extent, and the reference point lies one extent below its
    worst values, so that the ends of the front are kept (section 2.3).

    Args:
        front: Fitness, all maximized, shape [points, objectives].
    """
    if front.shape[1] == 1:  # of one objective, a front is made of equals: none adds anything
        return np.zeros(len(front))
    worst, extent = front.min(axis=0), np.ptp(front, axis=0)
    scaled = (front - worst) / np.where(extent > 0, extent, 1.0)
    reference = np.full(front.shape[1], -1.0)
    return np.asarray(moocore.hv_contributions(scaled, ref=reference, maximise=True), dtype=np.float64)
