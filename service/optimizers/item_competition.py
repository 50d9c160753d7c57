"""Who deserves to breed, where every item of the benchmarks is a resource (M2N2: 2508.16204).

Shapes: P members, J items.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.optimizers.base import Evaluation

EPSILON = 1e-9
Scores = NDArray[np.float64]


def item_scores(members: Sequence[Evaluation], weights: Sequence[float]) -> Scores:
    """Returns every member's score on every item, from 0 up, shape [P, J].

    Objectives count by their weights, however many items they have.  Where items were not kept, or
    members answered different ones, each objective is one item.
    """
    shapes = {tuple(map(len, member.items)) for member in members}
    shape = shapes.pop() if len(shapes) == 1 else ()
    columns = []
    for objective, weight in enumerate(weights):
        if objective < len(shape) and shape[objective]:
            scores = np.array([member.items[objective] for member in members], dtype=np.float64)
        else:
            scores = np.array([[member.fitness[objective]] for member in members], dtype=np.float64)
        below = np.minimum(scores.min(axis=0), 0.0)
        columns.append((scores - below) * (abs(weight) / scores.shape[1]))
    return np.concatenate(columns, axis=1)


def shared_fitness(scores: Scores, alpha: float) -> Scores:
    """Returns what each member wins where all that answer an item share it, shape [P].

    f_i = sum over j of s_ij c_j / (z_j^alpha + eps), with z_j the sum of all members' scores and c_j
    the best one (equation 4): an item that few answer is worth more to each of them.
    """
    worth = scores.max(axis=0) / (scores.sum(axis=0) ** alpha + EPSILON)
    return np.asarray(scores @ worth, dtype=np.float64)


def attraction(scores: Scores, place: int) -> Scores:
    """Returns how much each member adds to the one at `place`, shape [P]; nothing to itself.

    g(A, B) = sum over j of c_j / (z_j + eps) max(s_Bj - s_Aj, 0) (equation 5): a partner answers what
    the other cannot, above all where few can.
    """
    worth = scores.max(axis=0) / (scores.sum(axis=0) + EPSILON)
    return np.asarray(np.maximum(scores - scores[place], 0.0) @ worth, dtype=np.float64)
