"""Stored answers: what an exported checkpoint must answer again before it is published.  Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evaluators import Benchmark, Score, Split


@dataclass(frozen=True, slots=True)
class StoredAnswers:
    """Some items that a candidate answered in its search, and its answers.

    Attributes:
        benchmarks: That were asked.
        scores: One per benchmark, in order, with the chosen items alone in `item_indices`, `per_item` and,
            where they are known, `margins` (of those items, in their order).
        dtype: That the weights had when they were asked; None is the checkpoint's own.
    """

    benchmarks: tuple[Benchmark, ...]
    scores: tuple[Score, ...]
    split: Split = "search"
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    batch_size: int = 64

    @property
    def items(self) -> int:
        """How many items there are, over all benchmarks."""
        return sum(len(score.item_indices) for score in self.scores)
