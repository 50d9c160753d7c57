"""Journal: the port through which the search loop remembers.  Its two kinds: a database, a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from service.candidate import Candidate, Remembered, Timings
from workers.messages import Outcome


class Wish(StrEnum):
    """What people asked of a running experiment."""

    PAUSE = "pause"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the search stands after a generation.

    Attributes:
        best: Highest weighted mean of the objectives so far, and whose it is.
        hypervolume: Of the front, over the worst baseline in each objective.
    """

    generation: int
    settled: int
    best: float | None
    best_number: int | None
    hypervolume: float
    front: tuple[int, ...]


class Journal(Protocol):
    """Remembers everything that happened, durably and in order."""

    def recall(self) -> list[Remembered]:
        """Returns every candidate proposed so far, by number."""
        ...

    def proposed(self, candidates: Sequence[Candidate]) -> None:
        """Notes candidates before any of them is dispatched."""
        ...

    def settled(self, candidate: Candidate, outcome: Outcome, timings: Timings) -> None:
        """Notes how a candidate ended; infeasible ones end when they are proposed."""
        ...

    def told(self, numbers: Sequence[int], progress: Progress, seconds: float) -> None:
        """Notes that the optimizer learned of these candidates, in this order."""
        ...

    def wish(self) -> Wish | None:
        """Returns what people ask of the experiment now, if anything."""
        ...
