"""What candidates that were not evaluated can be expected to score.

Shapes: n evaluations, z points of the unit cube of d dimensions, K objectives, J items of one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.optimizers.base import Evaluation
from service.optimizers.gaussian_process import GaussianProcess

Array = NDArray[np.float64]

WITNESSES = 10.0  # that the items of one benchmark count as in the likelihood, however many there are
LARGEST = 3.0  # a margin beyond so many times the usual one says nothing more
SOFTNESS = 0.2  # of a step from wrong to right, in units of the margins' spread
PROBIT = 1.702  # the logistic function of so much is the normal distribution's, to 0.01
DECIMALS = 6  # of a value: points are compared by it, and linear algebra differs in its last bits
BEND = 0.05  # what the sum of all objectives counts beside the least of them (Knowles, 2006)
HARSHNESS = 5.0  # what a certain breach of constraints costs, in units of the objective's range


@dataclass(frozen=True, slots=True)
class _Columns:
    """What the process predicts of an objective: its items' margins, or its values alone.

    Attributes:
        values: In units of their spread, shape [n, J]; J is 1 where values alone are known.
        of_items: Whether these are margins.
        middle, unit: Of values: how a column's numbers become the objective's.
    """

    values: Array
    of_items: bool
    middle: float = 0.0
    unit: float = 1.0

    @property
    def counts(self) -> Array:
        """What each column counts in the likelihood, shape [J]."""
        items = self.values.shape[1]
        return np.full(items, WITNESSES / items if self.of_items else 1.0)


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
        self._lowest, self._ranges = fitness.min(axis=0), _spans(fitness)
        self._columns = [_columns(evaluations, objective) for objective in range(fitness.shape[1])]
        blocks = [columns.values for columns in self._columns]
        counts = [columns.counts for columns in self._columns]
        self._breaches = np.array([e.violation / (1 + e.violation) for e in evaluations])
        self._has_breaches = bool(self._breaches.any())
        if self._has_breaches:
            blocks.append(self._breaches[:, None])
            counts.append(np.ones(1))
        self._process = GaussianProcess(positions, np.concatenate(blocks, axis=1), np.concatenate(counts))
        self._expected, _ = self._predicted(positions, 0.0)

    def best(self, weighting: Array | None) -> int:
        """Returns which known point the model holds for the best: what was luck in a score is left out."""
        values = self._valued(self._expected, weighting)
        # Candidates that break constraints come after all others.
        return int(np.lexsort((-values, self._breaches))[0])

    def values(self, points: Array, optimism: float, weighting: Array | None) -> Array:
        """Returns what points are worth under a weighting, optimistically, shape [z]; larger is better.

        Args:
            points: Shape [z, d].
            optimism: Standard deviations that are added to the predictions.
            weighting: Shape [K]; None for the stated sum.
        """
        fitness, breaches = self._predicted(points, optimism)
        return self._valued(fitness, weighting, breaches)

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
        hoped = means + optimism * deviations[:, None]
        width = np.hypot(self._process.noise, SOFTNESS)
        fitness = np.empty((len(points), len(self._columns)))
        start = 0
        for objective, columns in enumerate(self._columns):
            end = start + columns.values.shape[1]
            if columns.of_items:
                fitness[:, objective] = (1 / (1 + np.exp(-PROBIT / width * hoped[:, start:end]))).mean(axis=1)
            else:
                fitness[:, objective] = columns.middle + columns.unit * hoped[:, start]
            start = end
        return fitness, means[:, -1] if self._has_breaches else None


def _columns(evaluations: Sequence[Evaluation], objective: int) -> _Columns:
    margins = margins_of(evaluations, objective)
    if margins is not None:
        return _Columns(_in_units(margins), of_items=True)
    values = np.array([evaluation.fitness[objective] for evaluation in evaluations])
    lowest, span = float(values.min()), float(_spans(values))
    shares = (values - lowest) / span
    spread = float(shares.std()) or 1.0
    return _Columns((shares / spread)[:, None], of_items=False, middle=lowest, unit=span * spread)


def margins_of(evaluations: Sequence[Evaluation], objective: int) -> Array | None:
    """Returns the margins of an objective's items, shape [n, J]; None where too few told them.

    A candidate that has none (it failed, lost a race, or was scored before margins were kept) borrows
    those of the one whose fitness is closest.
    """
    known = [e.margins[objective] if e.margins else () for e in evaluations]
    sizes = {len(margins) for margins in known if margins}
    have = [place for place, margins in enumerate(known) if margins]
    if len(sizes) != 1 or 2 * len(have) < len(known):
        return None
    fitness = np.array([evaluation.fitness[objective] for evaluation in evaluations])
    lender = np.abs(fitness[:, None] - fitness[have][None, :]).argmin(axis=1)
    lender[have] = np.arange(len(have))
    lent = np.array([known[place] for place in have], dtype=np.float64)
    return np.asarray(lent[lender], dtype=np.float64)


def _in_units(margins: Array) -> Array:
    """Returns margins in units of their spread, the largest cut off: their sign stays what it was."""
    usual = float(np.median(np.abs(margins))) or 1.0
    cut = np.clip(margins, -LARGEST * usual, LARGEST * usual)
    spread = float((cut - cut.mean(axis=0)).std()) or 1.0
    return np.asarray(cut / spread)


def _spans(fitness: Array) -> Array:
    """Returns the extent of each objective, 1 where all are equal, shape [K]."""
    spans = np.ptp(fitness, axis=0)
    return np.asarray(np.where(spans > 0, spans, 1.0), dtype=np.float64)
