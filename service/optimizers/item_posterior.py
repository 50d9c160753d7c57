"""What candidates that were not evaluated can be expected to score.

Shapes: n evaluations, z points of the unit cube of d dimensions, K objectives, C columns of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from service.optimizers.base import Evaluation
from service.optimizers.gaussian_process import with_relevance
from service.optimizers.item_columns import Columns, columns_of, spans

Array = NDArray[np.float64]

SOFTNESS = 0.2  # of a step from wrong to right, in units of the margins' spread
PROBIT = 1.702  # the logistic function of so much is the normal distribution's, to 0.01
DECIMALS = 6  # of a value: points are compared by it, and linear algebra differs in its last bits
BEND = 0.05  # what the sum of all objectives counts beside the least of them (Knowles, 2006)
HARSHNESS = 5.0  # what a certain breach of constraints costs, in units of the objective's range
DRAWS = 500  # of what is possible, for a forecast
TINY = 1e-12
LEAST_COMMON = 0.02  # share of the errors that all items of an objective have in common


class ItemPosterior:
    """A Gaussian process of what was told, and what follows from it for the objectives.

    Args:
        positions: Shape [n, d].
        evaluations: Of those points, at least one.
        weights: Of the objectives' stated sum, shape [K].
    """

    def __init__(self, positions: Array, evaluations: Sequence[Evaluation], weights: Sequence[float]) -> None:
        self.positions = positions
        self._weights = np.array(weights) / sum(weights)
        fitness = np.array([evaluation.fitness for evaluation in evaluations])
        self._lowest, self._ranges = fitness.min(axis=0), spans(fitness)
        self._columns = [columns_of(evaluations, objective) for objective in range(fitness.shape[1])]
        ends = np.cumsum([0, *(columns.values.shape[1] for columns in self._columns)])
        self._places = [slice(int(start), int(end)) for start, end in pairwise(ends)]
        blocks = [columns.values for columns in self._columns]
        counts = [columns.counts for columns in self._columns]
        self._breaches = np.array([e.violation / (1 + e.violation) for e in evaluations])
        self._has_breaches = bool(self._breaches.any())
        if self._has_breaches:
            blocks.append(self._breaches[:, None])
            counts.append(np.ones(1))
        self._process = with_relevance(positions, np.concatenate(blocks, axis=1), np.concatenate(counts))
        errors = self._process.errors()
        self._common = [_common_share(errors[:, place]) for place in self._places]
        self._expected, _ = self._predicted(positions, 0.0)

    @property
    def scales(self) -> Array:
        """By how much more than usual each coordinate matters, shape [d]."""
        return self._process.scales

    @property
    def reach(self) -> float:
        """The distance, in coordinates stretched by the scales, over which scores change."""
        return self._process.reach

    def best(self, weighting: Array | None, among: Sequence[int] | None = None) -> int:
        """Returns which known point the model holds for the best: what was luck in a score is left out.

        Args:
            weighting: Shape [K]; None for the stated sum.
            among: Places of the points that are compared; all where None.
        """
        values = self._valued(self._expected, weighting)
        # Candidates that break constraints come after all others.
        places = np.arange(len(values)) if among is None else np.asarray(among)
        return int(places[np.lexsort((-values[places], self._breaches[places]))[0]])

    def values(self, points: Array, optimism: float, weighting: Array | None) -> Array:
        """Returns what points are worth under a weighting, optimistically, shape [z]; larger is better.

        Args:
            points: Shape [z, d].
            optimism: Standard deviations that are added to the predictions; below 0, subtracted; 0 expects
                what the mean over all that is possible is.
            weighting: Shape [K]; None for the stated sum.
        """
        fitness, breaches = self._predicted(points, optimism)
        return self._valued(fitness, weighting, breaches)

    def gain(self, points: Array, rng: np.random.Generator) -> tuple[float, float]:
        """Returns by how much the best of some points leads the best known one: mean and deviation.

        Over draws from what is possible of all of them together, in the unit of the weighted mean.

        Args:
            points: Shape [z, d].
            rng: What is drawn from.
        """
        asked = np.concatenate([points, self.positions[self.best(None)][None]])
        low, usual, high = (self._predicted(asked, hope)[0] @ self._weights for hope in (-1.0, 0.0, 1.0))
        covariance = self._process.covariance(asked)
        deviations = np.sqrt(np.maximum(np.diag(covariance), TINY))
        values, vectors = np.linalg.eigh(covariance / np.outer(deviations, deviations))
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        drawn = usual + (high - low) / 2 * (rng.standard_normal((DRAWS, len(asked))) @ root.T)
        gains = np.maximum(drawn[:, :-1].max(axis=1) - drawn[:, -1], 0.0)
        return round(float(gains.mean()), DECIMALS), round(float(gains.std()), DECIMALS)

    def _valued(self, fitness: Array, weighting: Array | None, breaches: Array | None = None) -> Array:
        shares = (fitness - self._lowest) / self._ranges
        if weighting is None:
            worth = self._weights * self._ranges
            values = shares @ (worth / worth.max())
        else:
            values = (weighting * shares).min(axis=1) + BEND * shares @ weighting
        if breaches is not None:
            values = values - HARSHNESS * np.maximum(breaches, 0.0)
        return np.asarray(np.round(values, DECIMALS), dtype=np.float64)

    def _predicted(self, points: Array, optimism: float) -> tuple[Array, Array | None]:
        """Returns the objectives' fitness, shape [z, K], and by how much constraints are broken, [z]."""
        means, deviations = self._process.predict(points)
        fitness = np.empty((len(points), len(self._columns)))
        for objective, (columns, place) in enumerate(zip(self._columns, self._places, strict=True)):
            common = self._common[objective]
            hoped = means[:, place] + optimism * np.sqrt(common) * deviations[:, None]
            # What items do not have in common is averaged over, also where all of them are hoped for.
            unsure = deviations**2 * (1 - common if optimism else 1.0)
            fitness[:, objective] = self._fitness(columns, hoped, unsure)
        return fitness, means[:, -1] if self._has_breaches else None

    def _fitness(self, columns: Columns, hoped: Array, unsure: Array) -> Array:
        """Returns an objective's mean over what is possible, shape [z].

        Args:
            columns: Of the objective.
            hoped: The columns' means, shape [z, columns].
            unsure: Their variances, shape [z].
        """
        if columns.kind == "values":
            return columns.middle + columns.unit * hoped[:, 0]
        if columns.kind == "margins":
            slopes = PROBIT / np.sqrt(self._process.noise**2 + SOFTNESS**2 + unsure)
        else:
            slopes = columns.unit / np.sqrt(1 + (columns.unit / PROBIT) ** 2 * unsure)
        right = hoped * -slopes[:, None]
        np.exp(np.minimum(right, 50.0, out=right), out=right)
        right += 1
        return np.asarray((1 / right) @ columns.shares, dtype=np.float64)


def _common_share(errors: Array) -> float:
    """Returns which share of the columns' errors all have in common: that of one factor.

    Of J columns with variance 1 that share r, the mean has the variance r + (1 - r) / J.

    Args:
        errors: Of predictions of the known points, each by the others, shape [n, J].
    """
    columns = errors.shape[1]
    usual = float((errors**2).mean())
    if columns == 1 or not usual > 0:
        return 1.0
    of_mean = float((errors.mean(axis=1) ** 2).mean()) / usual
    share = (columns * of_mean - 1) / (columns - 1)
    return float(round(min(max(share, LEAST_COMMON), 1.0), 3))
