"""Enqueued: a recipe of a person's own that waits to become a candidate of a search."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from search_spaces import Recipe


class EnqueuedBy(StrEnum):
    """What put a recipe into the queue; the candidate that it becomes names it as its operator.

    A retry repeats a candidate that failed.  A re-evaluation repeats one that has scores, and asks every
    item again: nothing that was answered before is used.
    """

    PERSON = "enqueued"
    RETRY = "retry"
    REEVALUATION = "reevaluation"


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A recipe that waits, or has waited, for its turn.

    Attributes:
        id: Of the candidate that it becomes.
        label: What people call it.
        ancestor: The candidate that it repeats, by number; None for a recipe of a person's own.
    """

    id: UUID
    recipe: Recipe
    label: str | None = None
    by: EnqueuedBy = EnqueuedBy.PERSON
    ancestor: int | None = None
