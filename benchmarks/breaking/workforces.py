"""Workers that answer soon, and those that are lost, hang, lie or answer what is no number."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf, nan
from uuid import uuid4

from benchmarks.storing.instant_workforce import InstantWorkforce, score_of
from evaluators import Score
from workers.protocol.failure import Failure
from workers.protocol.messages import Assignment, Failed, Outcome, Scored
from workers.protocol.outcomes import timed_out, worker_lost

OBJECTIVES = ("sphere", "plane")
SLOTS = 4
BAD = "bad_score"


def answer_of(assignment: Assignment, worker: str) -> Scored:
    """Returns what an honest worker answers: the same to the same recipe, wherever it is asked."""
    scores = tuple(score_of(assignment.recipe, name, place) for place, name in enumerate(OBJECTIVES))
    return Scored(assignment.candidate, assignment.attempt, scores, 0.0, 0.0, worker)


def lost_or_lied(assignment: Assignment) -> list[Outcome]:
    """Loses every fifth candidate once, has others hang once, and answers what was not asked, or twice."""
    honest, first = answer_of(assignment, "liar"), assignment.attempt == 1
    match assignment.number % 7:
        case 1 if first:
            return [worker_lost(assignment, "lost")]
        case 2:
            return [Failed(uuid4(), 1, Failure("lie", "was never asked for", ""), "liar"), honest]
        case 3:
            return [honest, Failed(honest.candidate, honest.attempt, Failure("lie", "twice", ""), "liar")]
        case 4 if first:
            return [timed_out(assignment, "hangs")]
        case 5:
            return [replace(honest, merge_seconds=-1e9, evaluate_seconds=nan)]
        case _:
            return [honest]


def no_numbers(assignment: Assignment) -> list[Outcome]:
    """Answers every third candidate with what is no score, or with those of other benchmarks."""
    honest = answer_of(assignment, "broken")
    first, second = honest.scores
    scores: tuple[Score, ...]
    match assignment.number % 12:
        case 1:
            scores = (replace(first, value=nan), second)
        case 4:
            scores = (first, replace(second, stderr=inf))
        case 7:
            scores = (first,)
        case 10:
            scores = (first, replace(second, benchmark="never asked"))
        case _:
            return [honest]
    return [replace(honest, scores=scores)]


def refused(assignment: Assignment) -> list[Outcome]:
    """Answers as `no_numbers` does, and says itself that there is no score."""
    (answer,) = no_numbers(assignment)
    honest = answer_of(assignment, "broken")
    if answer == honest:
        return [honest]
    return [Failed(honest.candidate, honest.attempt, Failure(BAD, "no score", ""), "broken")]


def honest(assignment: Assignment) -> list[Outcome]:
    """Answers as it should."""
    return [answer_of(assignment, f"worker {assignment.number}")]


MANNERS: Mapping[str, Callable[[Assignment], list[Outcome]]] = {
    "honest": honest,
    "lost_or_lied": lost_or_lied,
    "no_numbers": no_numbers,
    "refused": refused,
}


class PacedWorkforce(InstantWorkforce):
    """Answers after `pace` seconds, in one of the manners."""

    def __init__(self, *, pace: float = 0.0, manner: str = "honest") -> None:
        super().__init__(SLOTS, OBJECTIVES)
        self.pace, self._answers = pace, MANNERS[manner]

    def submit(self, assignment: Assignment) -> None:
        """Takes an assignment; what comes of it waits to be fetched."""
        self._outcomes.extend(self._answers(assignment))

    def next_outcome(self, timeout: float) -> Outcome | None:
        """Returns the next answer, after a while."""
        time.sleep(self.pace if self._outcomes and timeout else min(timeout, 0.01))
        return super().next_outcome(timeout)
