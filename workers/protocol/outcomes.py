"""Outcomes that no worker can send itself: it hung, or it is dead."""

from __future__ import annotations

from uuid import UUID

from workers.protocol.failure import LONGEST_CAUSE, LONGEST_EXCERPT, Failure
from workers.protocol.messages import Assignment, Failed, Outcome


def key_of(message: Assignment | Outcome) -> tuple[UUID, int]:
    """Returns what an assignment and its outcome have in common."""
    return message.candidate, message.attempt


def timed_out(assignment: Assignment, worker: str) -> Failed:
    """Returns the outcome of an assignment that took longer than it may."""
    failure = Failure(
        code="timeout",
        cause=f"no score after {assignment.timeout:g} seconds",
        remedy="raise the timeout, or look at what the evaluation waits for",
        retryable=True,
    )
    return Failed(*key_of(assignment), failure, worker)


def worker_lost(assignment: Assignment, worker: str, excerpt: str = "") -> Failed:
    """Returns the outcome of an assignment whose worker's process ended."""
    failure = Failure(
        code="worker_lost",
        cause=f"the process of {worker} ended while it worked",
        remedy="if it happens again, the machine is out of memory: use fewer workers or a smaller batch",
        retryable=True,
        excerpt=excerpt[-LONGEST_EXCERPT:],
    )
    return Failed(*key_of(assignment), failure, worker)


def poison(assignment: Assignment, crashes: int) -> Failed:
    """Returns the outcome of an assignment with which the controller's own process ended, again and again."""
    failure = Failure(
        code="poison",
        cause=f"the controller's process ended {crashes} times while it merged or scored this candidate",
        remedy="look at the kernel's log (`dmesg`) for the cause, often memory; workers of Ray "
        "(`EVOMERGE_WORKFORCE=ray`) end without the controller",
    )
    return Failed(assignment.candidate, crashes, failure)


def worker_broke(assignment: Assignment, worker: str, error: Exception) -> Failed:
    """Returns the outcome of an assignment that a worker answered with an error of its own."""
    failure = Failure(
        code="worker_failed",
        cause=f"{worker} broke: {type(error).__name__}: {error}"[:LONGEST_CAUSE],
        remedy="report this as a mistake of evomerge",
    )
    return Failed(*key_of(assignment), failure, worker)


def no_workers(assignment: Assignment, losses: int, refusal: Exception | None) -> Failed:
    """Returns the outcome of an assignment for which no worker is left."""
    why = f": {refusal}" if refusal is not None else ""
    failure = Failure(
        code="no_workers",
        cause=f"workers failed {losses} times in a row to get ready{why}"[:LONGEST_CAUSE],
        remedy="see that the parents are where they were, and that there is memory for them",
    )
    return Failed(*key_of(assignment), failure)
