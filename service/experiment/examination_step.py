"""Step: one model that an examination asked one split, as it is stored."""

from __future__ import annotations

from dataclasses import dataclass

from evaluators import Split
from workers.protocol.failure import Failure


@dataclass(frozen=True, slots=True)
class Step:
    """One model that was asked one split, as it is stored.

    Attributes:
        conditions: Under which; "" for the standard ones.
        items: How many it was asked, over all objectives.
        seconds: From the step before, or from the beginning of a controller's life, to its answer.
        failure: Why it has no scores, if it has none.
    """

    number: int
    split: Split
    conditions: str
    items: int
    seconds: float
    failure: Failure | None = None

    @property
    def key(self) -> tuple[int, Split, str]:
        """What names it."""
        return self.number, self.split, self.conditions
