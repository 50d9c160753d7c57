"""Answer comparison: whether a checkpoint on disk answers items as the model in memory did.  Pure.

Two ways to the same numbers (scales folded into weights, another device, another batch) differ in the
last digits, so an item whose choices are all but equally likely may turn over.  Anything else may not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluators import Score

NEAR_TIES: Mapping[str, float] = {"float32": 0.01, "float64": 0.01}
"""Margin in nats up to which an item may turn over, by the weights' number format."""
NEAR_TIE_16 = 0.25
"""The same for formats of 16 bits and fewer."""
UNMARGINED = 0.05
"""Share of the items without a known margin (generated answers) that may differ; one always may."""
TOLERANCE = 0.02
"""Relative difference up to which values that are neither right nor wrong count as the same."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One benchmark's items, asked twice.

    Attributes:
        items: How many there are.
        turned: How many near ties turned over.
        differing: Indices of items that differ, near ties left out.
        allowed: How many of those may.
    """

    benchmark: str
    items: int
    turned: int
    differing: tuple[int, ...]
    allowed: int

    @property
    def agrees(self) -> bool:
        """Says whether the answers are the same, as far as they must be."""
        return len(self.differing) <= self.allowed

    def text(self) -> str:
        """Returns the finding in words."""
        parts = [
            f"{self.benchmark} {self.items - self.turned - len(self.differing)} of {self.items} the same"
        ]
        parts += [f"{self.turned} near ties turned over"] if self.turned else []
        parts += [f"{len(self.differing)} differ"] if self.differing else []
        return ", ".join(parts)


def compare_answers(stored: Score, now: Score, dtype: str) -> Compared:
    """Returns in what the answers of now differ from the stored ones.

    Args:
        stored: With `item_indices`, and `margins` where they are known.
        now: Of the same items.
        dtype: Of the weights that answered.
    """
    near = NEAR_TIES.get(dtype, NEAR_TIE_16)
    turned, differing = 0, []
    for place, (index, before, after) in enumerate(
        zip(stored.item_indices, stored.per_item, now.per_item, strict=True)
    ):
        if _is_same(before, after):
            continue
        if stored.margins and abs(stored.margins[place]) <= near:
            turned += 1
        else:
            differing.append(index)
    count = len(stored.item_indices)
    allowed = 0 if stored.margins else max(1, math.floor(UNMARGINED * count))
    return Compared(stored.benchmark, count, turned, tuple(differing), allowed)


def text_of(compared: Sequence[Compared]) -> str:
    """Returns all findings in one sentence."""
    return "; ".join(each.text() for each in compared)


def _is_same(before: float, after: float) -> bool:
    if before in (0.0, 1.0) and after in (0.0, 1.0):
        return before == after
    return math.isclose(before, after, rel_tol=TOLERANCE, abs_tol=1e-6)
