"""Candidate: a numbered row of an experiment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from search_spaces import Genome, Infeasible, Recipe
from workers.messages import Outcome


class CandidateStatus(StrEnum):
    """Where a candidate stands; every one ends exactly once."""

    PROPOSED = "proposed"
    SCORED = "scored"
    INFEASIBLE = "infeasible"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is tried: a genome, the recipe it decodes to, and where both come from.

    Attributes:
        number: Its place in the experiment; the baselines come first.
        genome: None for a baseline that the search space cannot express.
        recipe: Infeasible where the genome decodes to none.
        label: What a person calls it, for baselines (`parent: left`, `plain average`).
    """

    id: UUID
    number: int
    generation: int
    genome: Genome | None
    recipe: Recipe | Infeasible
    label: str | None = None

    @property
    def is_baseline(self) -> bool:
        """Says whether no optimizer proposed it."""
        return self.label is not None


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that one candidate cost, beside merging and evaluating.

    Attributes:
        ask: Its share of the optimizer's proposing.
        dispatch: From handing it out to its answer, less merging and evaluating and waiting in the queue.
        store: Writing its rows.
    """

    ask: float = 0.0
    dispatch: float = 0.0
    store: float = 0.0


@dataclass(frozen=True, slots=True)
class Remembered:
    """A candidate as the journal holds it; `told` is its place in the order of telling."""

    candidate: Candidate
    outcome: Outcome | None = None
    told: int | None = None
