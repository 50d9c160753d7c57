"""What a model of the items predicts of each objective, column by column.

Shapes: n evaluations, J items of an objective, G groups of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.optimizers.base import Evaluation
from service.optimizers.item_groups import grouped

Array = NDArray[np.float64]

WITNESSES = 10.0  # that the items of one benchmark count as in the likelihood, however many there are
LARGEST = 3.0  # a margin beyond so many times the usual one says nothing more
USUAL_WITNESSES = 5.0  # evaluations that the spread of all items counts as beside an item's own
ALIKE = 1e-6  # a fitness that is the mean of items differs from it by no more
BEYOND_CHANCE = 1.3
Kind = Literal["margins", "shares", "values"]


@dataclass(frozen=True, slots=True)
class Columns:
    """What the process predicts of an objective.

    Attributes:
        kind: The margins of its items; the logits of the shares of groups of items that are right; or its
            values alone.
        values: In units of their spread, shape [n, columns].
        middle, unit: From a column's numbers to logits or to the objective's values.
        shares: What each column counts in the objective, shape [columns], summing to 1.
    """

    kind: Kind
    values: Array
    shares: Array
    middle: float = 0.0
    unit: float = 1.0

    @property
    def counts(self) -> Array:
        """What each column counts in the likelihood, shape [columns]."""
        columns = self.values.shape[1]
        return np.full(columns, WITNESSES / columns if self.kind == "margins" else 1.0)


def columns_of(evaluations: Sequence[Evaluation], objective: int) -> Columns:
    """Returns the most telling columns that most evaluations have."""
    margins = margins_of(evaluations, objective)
    if margins is not None:
        items = margins.shape[1]
        return Columns("margins", _in_units(margins), np.full(items, 1 / items))
    answers = answers_of(evaluations, objective)
    if answers is not None:
        return _of_shares(answers)
    values = np.array([evaluation.fitness[objective] for evaluation in evaluations])
    lowest, span = float(values.min()), float(spans(values))
    shares = (values - lowest) / span
    spread = float(shares.std()) or 1.0
    return Columns("values", (shares / spread)[:, None], np.ones(1), middle=lowest, unit=span * spread)


def margins_of(evaluations: Sequence[Evaluation], objective: int) -> Array | None:
    """Returns the margins of an objective's items, shape [n, J]; None where too few told them.

    A candidate that has none (it failed, lost a race, or was scored before margins were kept) borrows
    those of the one whose fitness is closest.
    """
    return _lent([e.margins[objective] if e.margins else () for e in evaluations], evaluations, objective)


def answers_of(evaluations: Sequence[Evaluation], objective: int) -> Array | None:
    """Returns how right each item is, 0 to 1, shape [n, J]; None where that says no more than their mean.

    That is so where too few candidates told of their items, where fitness is not their mean, or where each
    candidate was asked others.
    """
    known = [e.items[objective] if e.items else () for e in evaluations]
    answers = _lent(known, evaluations, objective)
    if answers is None or answers.min() < 0 or answers.max() > 1:
        return None
    have = [place for place, items in enumerate(known) if items]
    fitness = np.array([evaluations[place].fitness[objective] for place in have])
    if np.abs(fitness - answers[have].mean(axis=1)).max() > ALIKE or not _has_patterns(answers[have]):
        return None
    return answers


def _has_patterns(answers: Array) -> bool:
    """Says whether some items are answered by the same candidates, beyond chance.

    What is left of answers drawn by chance once each candidate's mean is subtracted is a matrix whose
    largest singular value is about s (sqrt(n) + sqrt(J)), s being the entries' deviation (Bai-Yin).
    """
    left = answers - answers.mean(axis=1, keepdims=True)
    count, items = left.shape
    bound = float(left.var()) * (math.sqrt(count) + math.sqrt(items)) ** 2
    return float(np.linalg.eigvalsh(left @ left.T)[-1]) > BEYOND_CHANCE * bound


def _lent(
    known: Sequence[tuple[float, ...]], evaluations: Sequence[Evaluation], objective: int
) -> Array | None:
    sizes = {len(one) for one in known if one}
    have = [place for place, one in enumerate(known) if one]
    if len(sizes) != 1 or 2 * len(have) < len(known):
        return None
    fitness = np.array([evaluation.fitness[objective] for evaluation in evaluations])
    lender = np.abs(fitness[:, None] - fitness[have][None, :]).argmin(axis=1)
    lender[have] = np.arange(len(have))
    lent = np.array([known[place] for place in have], dtype=np.float64)
    return np.asarray(lent[lender], dtype=np.float64)


def _of_shares(answers: Array) -> Columns:
    """Returns logits of how many items of each group are right.

    What takes several skills at once is right as often as their product says, and so its logarithm, and
    near 0 its logit, changes evenly where the share itself lies flat.
    """
    members = grouped(answers)
    sizes = np.array([len(group) for group in members], dtype=np.float64)
    right = np.stack([answers[:, group].sum(axis=1) for group in members], axis=1)
    logits = np.log((right + 0.5) / (sizes - right + 0.5))
    spread = float((logits - logits.mean(axis=0)).std()) or 1.0
    return Columns("shares", logits / spread, sizes / sizes.sum(), unit=spread)


def _in_units(margins: Array) -> Array:
    """Returns margins in units of each item's spread, the largest cut off: their sign stays what it was."""
    usual = float(np.median(np.abs(margins))) or 1.0
    cut = np.clip(margins, -LARGEST * usual, LARGEST * usual)
    own = cut.var(axis=0)
    common = float(own.mean()) or 1.0
    spread = np.sqrt((len(cut) * own + USUAL_WITNESSES * common) / (len(cut) + USUAL_WITNESSES))
    return np.asarray(cut / spread)


def spans(fitness: Array) -> Array:
    """Returns the extent of each objective, 1 where all are equal, shape [K]."""
    extents = np.ptp(fitness, axis=0)
    return np.asarray(np.where(extents > 0, extents, 1.0), dtype=np.float64)
