"""Which models of a pool to merge: those that together get the most items right, the best first.  Pure.

What each of several models gets right bounds what a merge that forgets nothing could: the ceiling is the
mean over items of the best of their answers.  Models are taken one by one, each time the one that raises
the ceiling most (greedy forward selection); of equals the one that is least like those taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ItemValues = Mapping[str, NDArray[np.float64]]
"""Task -> one number per item, larger is better; the same items in the same order for all models."""

CLEAR = 2.0  # standard errors


@dataclass(frozen=True, slots=True)
class Step:
    """A model that is taken, or would be next.

    Attributes:
        model: Its place in the pool.
        alone, alone_stderr: Its own mean over tasks.
        ceiling: Of all models up to this one.
        gain, stderr: By how much it raises the ceiling, with the standard error over items.
        gained: How many items it alone gets better than all before it, per task.
        likeness: The highest kinship with one before it; None for the first, and where it is not known.
    """

    model: int
    alone: float
    alone_stderr: float
    ceiling: float
    gain: float
    stderr: float
    gained: Mapping[str, int]
    likeness: float | None

    @property
    def is_clear(self) -> bool:
        """Says whether the gain exceeds two standard errors."""
        return self.gain > CLEAR * self.stderr and self.gain > 0


def forward_selection(
    pool: Sequence[ItemValues], likeness: Callable[[int, int], float] | None = None
) -> list[Step]:
    """Returns all models in the order in which they would be taken.

    Args:
        pool: What each model answered.
        likeness: Of two models, by their places; None where it is not known.

    Raises:
        ValueError: A model answered other items than the first.
    """
    _check(pool)
    taken: list[int] = []
    best = {task: np.full(values.shape, -np.inf) for task, values in pool[0].items()}
    steps = []
    while len(taken) < len(pool):
        left = [model for model in range(len(pool)) if model not in taken]
        chosen = min(left, key=lambda m: (-_ceiling(best, pool[m]), _nearest(m, taken, likeness) or 0.0, m))
        steps.append(_step(chosen, taken, best, pool[chosen], likeness))
        best = {task: np.maximum(values, pool[chosen][task]) for task, values in best.items()}
        taken.append(chosen)
    return steps


def _step(
    model: int,
    taken: Sequence[int],
    best: ItemValues,
    own: ItemValues,
    likeness: Callable[[int, int], float] | None,
) -> Step:
    alone, alone_stderr = _mean(own)
    gains = {
        task: np.maximum(own[task] - values, 0.0) if taken else own[task] for task, values in best.items()
    }
    gain, stderr = _mean(gains)
    gained = {task: int((own[task] > values).sum()) for task, values in best.items()} if taken else {}
    ceiling = _ceiling(best, own)
    return Step(model, alone, alone_stderr, ceiling, gain, stderr, gained, _nearest(model, taken, likeness))


def _mean(values: ItemValues) -> tuple[float, float]:
    """Returns the mean over tasks of the means over items, and its standard error."""
    errors = [float(v.std(ddof=1)) / math.sqrt(v.size) if v.size > 1 else 0.0 for v in values.values()]
    means = [float(v.mean()) for v in values.values()]
    return math.fsum(means) / len(means), math.sqrt(math.fsum(e * e for e in errors)) / len(errors)


def _ceiling(best: ItemValues, own: ItemValues) -> float:
    return _mean({task: np.maximum(values, own[task]) for task, values in best.items()})[0]


def _nearest(model: int, taken: Sequence[int], likeness: Callable[[int, int], float] | None) -> float | None:
    if likeness is None or not taken:
        return None
    return max(likeness(model, other) for other in taken)


def _check(pool: Sequence[ItemValues]) -> None:
    shapes = [{task: values.shape for task, values in answers.items()} for answers in pool]
    if not pool or not shapes[0] or any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"models answered other items than each other: {shapes}")
