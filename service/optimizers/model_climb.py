"""Climbs a model of the scores: from draws around several known points to the best place it foresees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Values = Callable[[Array], Array]
"""From points, shape [z, d], to what they are worth, shape [z]."""

FIRST_DRAWS, DRAWS, ROUNDS, SURVIVORS = 128, 64, 8, 16
STARTS = 6  # known points that are climbed from
LINES = 0.25  # share of the first draws that lie on lines through known points
FARTHEST = 1.5  # of such a line, in units of the two points' distance
CHANGED = 15  # genes that a draw changes on average, where there are more
LEAST_STEP, SHRINKING = 0.01, 0.7


@dataclass(frozen=True, slots=True)
class Region:
    """Where is climbed.

    Attributes:
        starts: Known points, the most promising first, shape [s, d].
        reach: Of the first draws' largest step, as a share of the cube; along each axis, shape [d].
        lines: Known points through which lines are drawn, shape [p, d].
        radius: Of the ball around the first start that is not left, root mean square over the axes in
            units of their reach; None for the whole cube.
    """

    starts: Array
    reach: Array
    lines: Array
    radius: float | None = None

    def clipped(self, points: Array) -> Array:
        """Returns the points, moved into the cube and the ball."""
        if self.radius is not None:
            steps = (points - self.starts[0]) / self.reach
            far = np.sqrt((steps**2).mean(axis=1)) / self.radius
            points = self.starts[0] + (points - self.starts[0]) / np.maximum(far, 1.0)[:, None]
        return np.asarray(np.clip(points, 0.0, 1.0))


def climb(region: Region, values: Values, rng: np.random.Generator) -> Array:
    """Returns points of the region, the best first, shape [z, d]."""
    points = region.clipped(_first_draws(region, rng))
    worth = values(points)
    for _ in range(ROUNDS):
        best = np.argsort(-worth, kind="stable")[:SURVIVORS]
        points, worth = points[best], worth[best]
        spread = SHRINKING * points.std(axis=0) + LEAST_STEP * region.reach
        drawn = points[np.minimum(rng.exponential(SURVIVORS / 3, DRAWS), len(points) - 1).astype(int)]
        drawn = region.clipped(drawn + spread * _steps(DRAWS, region, rng))
        points, worth = np.concatenate([points, drawn]), np.concatenate([worth, values(drawn)])
    return np.asarray(points[np.argsort(-worth, kind="stable")])


def _first_draws(region: Region, rng: np.random.Generator) -> Array:
    """Returns draws around the starts, half of them around the first, and on lines through known points."""
    which = np.where(rng.random(FIRST_DRAWS) < 1 / 2, 0, rng.integers(len(region.starts), size=FIRST_DRAWS))
    starts = region.starts[which]
    around = starts + rng.random((FIRST_DRAWS, 1)) * region.reach * _steps(FIRST_DRAWS, region, rng)
    ends = region.lines[rng.integers(len(region.lines), size=FIRST_DRAWS)]
    shares = rng.uniform(-FARTHEST / 2, FARTHEST, (FIRST_DRAWS, 1))
    on_lines = starts + shares * (ends - starts) + LEAST_STEP * rng.standard_normal(starts.shape)
    return np.where(rng.random((FIRST_DRAWS, 1)) < LINES, on_lines, around)


def _steps(count: int, region: Region, rng: np.random.Generator) -> Array:
    """Returns normal draws, of many genes all but some 0, shape [count, d]."""
    genes = len(region.reach)
    if genes <= CHANGED:
        return rng.standard_normal((count, genes))
    # Of many genes drawing is most of the time, and half of it with half the digits.
    steps = rng.standard_normal((count, genes), dtype=np.float32).astype(np.float64)
    changes = rng.random((count, genes), dtype=np.float32) < CHANGED / genes
    changes[np.arange(count), rng.integers(genes, size=count)] = True
    # Every third changes all.
    changes[::3] = True
    return np.asarray(steps * changes)
