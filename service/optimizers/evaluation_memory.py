"""The evaluations worth remembering where not all can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from service.optimizers.base import Evaluation

Array = NDArray[np.float64]

LATEST = 1 / 3  # of what is remembered


class EvaluationMemory:
    """Keeps the latest evaluations, and of the others the best in any respect.

    Respects are the objectives and their weighted sum; feasible ones are better than all others.

    Args:
        capacity: How many are kept.
        scalar: The weighted sum.
    """

    def __init__(self, capacity: int, scalar: Callable[[Sequence[float]], float]) -> None:
        self._capacity, self._scalar = capacity, scalar
        self.evaluations: list[Evaluation] = []
        self.positions: list[Array] = []
        self._respects: list[tuple[float, ...]] = []

    def add(self, evaluation: Evaluation, position: Array) -> None:
        """Takes one in, with its place in the unit cube, and drops the least useful of too many."""
        self.evaluations.append(evaluation)
        self.positions.append(position)
        self._respects.append(self._judge(evaluation))
        if len(self.evaluations) > self._capacity:
            place = self._least()
            del self.evaluations[place], self.positions[place], self._respects[place]

    def replace(self, evaluation: Evaluation) -> None:
        """Replaces the evaluation of the same number, if it is kept."""
        for place, known in enumerate(self.evaluations):
            if known.number == evaluation.number:
                self.evaluations[place], self._respects[place] = evaluation, self._judge(evaluation)

    def _judge(self, evaluation: Evaluation) -> tuple[float, ...]:
        fitness = (self._scalar(evaluation.fitness), *evaluation.fitness)
        if evaluation.violation:
            return tuple(-np.inf for _ in fitness)
        return fitness

    def _least(self) -> int:
        """Returns the place of the one that is best in no respect; of equals the first that came."""
        old = len(self._respects) - int(LATEST * self._capacity)
        judged = np.array(self._respects[:old])
        ranks = np.argsort(np.argsort(-judged, axis=0, kind="stable"), axis=0, kind="stable")
        return int(np.argmax(ranks.min(axis=1)))
