"""Dispatcher: brings a generation's candidates to the workers, and their answers back."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Protocol
from uuid import UUID

from evaluators import EvaluationError, Split
from search_spaces import Recipe
from service.candidate import Candidate, Timings
from service.journal import Wish
from workers.messages import Assignment, Failed, Outcome, Scored, Workforce

MOST_ATTEMPTS = 3
PATIENCE = 0.2  # seconds between two looks at what people wish


class Record(Protocol):
    """Where outcomes are written down: the part of a journal that a dispatcher needs."""

    def settled(self, candidate: Candidate, outcome: Outcome, timings: Timings) -> None:
        """Notes how a candidate ended."""
        ...

    def wish(self) -> Wish | None:
        """Returns what is asked of the experiment now, if anything."""
        ...


class Dispatcher:
    """Has candidates scored on one split and written down; equal recipes are scored once.

    It holds as many assignments out as there are workers, so that the time between handing one out
    and its answer, less the work itself, is what the controller and the wire cost.
    """

    def __init__(
        self, workforce: Workforce, record: Record, *, timeout: float, split: Split = "search"
    ) -> None:
        self.workforce, self.record, self.timeout, self.split = workforce, record, timeout, split
        self._scored: dict[str, Scored] = {}  # by recipe digest
        self._out: dict[UUID, tuple[Candidate, float]] = {}  # with the time it was handed out
        self._outcomes: dict[int, Outcome] = {}
        self._ask_seconds = 0.0

    def settle(
        self, candidates: Sequence[Candidate], known: Mapping[int, Outcome], ask_seconds: float = 0.0
    ) -> dict[int, Outcome] | Wish:
        """Returns every candidate's outcome by number, or the wish that came in between.

        Candidates without a recipe have no outcome.  What was settled before a wish came is
        written down already.
        """
        self._outcomes, self._ask_seconds = dict(known), ask_seconds
        for candidate in candidates:
            self._learn(candidate, known.get(candidate.number))
        queue = deque((c, 1) for c in candidates if c.number not in known and isinstance(c.recipe, Recipe))
        while queue or self._out:
            wish = self.record.wish()
            if wish in (Wish.CANCEL, Wish.STOP):
                self._abandon()
                return wish
            if wish is None:
                self._hand_out(queue)
            elif not self._out:
                return wish
            self._collect(queue)
        return self._outcomes

    def _hand_out(self, queue: deque[tuple[Candidate, int]]) -> None:
        """Submits as many as there are free workers; candidates whose scores are known need none."""
        under_way = {digest_of(candidate) for candidate, _ in self._out.values()}
        held_back = []
        while queue and len(self._out) < self.workforce.slots:
            candidate, attempt = queue.popleft()
            recipe = candidate.recipe
            if not isinstance(recipe, Recipe):
                continue
            if scored := self._scored.get(recipe.digest):
                self._write(
                    candidate,
                    replace(scored, candidate=candidate.id, merge_seconds=0.0, evaluate_seconds=0.0),
                )
            elif recipe.digest in under_way:
                held_back.append((candidate, attempt))  # its twin's scores will do
            else:
                self.workforce.submit(
                    Assignment(candidate.id, candidate.number, recipe, self.split, attempt, self.timeout)
                )
                self._out[candidate.id] = (candidate, monotonic())
                under_way.add(recipe.digest)
        queue.extendleft(reversed(held_back))

    def _collect(self, queue: deque[tuple[Candidate, int]]) -> None:
        """Waits a moment for an answer and writes it down, or queues a lost candidate again."""
        # With work left and nothing out, all workers are being restarted.
        outcome = self.workforce.next_outcome(PATIENCE) if self._out or queue else None
        if outcome is None or outcome.candidate not in self._out:
            return
        candidate, handed_out = self._out.pop(outcome.candidate)
        if isinstance(outcome, Failed) and outcome.retryable and outcome.attempt < MOST_ATTEMPTS:
            queue.appendleft((candidate, outcome.attempt + 1))
            return
        seconds = monotonic() - handed_out
        worked = outcome.merge_seconds + outcome.evaluate_seconds if isinstance(outcome, Scored) else seconds
        self._write(candidate, checked(outcome), dispatch=max(seconds - worked, 0.0))

    def _write(self, candidate: Candidate, outcome: Outcome, *, dispatch: float = 0.0) -> None:
        self.record.settled(candidate, outcome, Timings(ask=self._ask_seconds, dispatch=dispatch))
        self._outcomes[candidate.number] = outcome
        self._learn(candidate, outcome)

    def _learn(self, candidate: Candidate, outcome: Outcome | None) -> None:
        if isinstance(outcome, Scored) and isinstance(candidate.recipe, Recipe):
            self._scored.setdefault(candidate.recipe.digest, outcome)

    def _abandon(self) -> None:
        self.workforce.drop()
        self._out.clear()


def digest_of(candidate: Candidate) -> str | None:
    """Returns the name of the candidate's model, or None where it has none."""
    return candidate.recipe.digest if isinstance(candidate.recipe, Recipe) else None


def checked(outcome: Outcome) -> Outcome:
    """Returns the outcome, or why its scores do not count: no optimizer may ever see a NaN."""
    if isinstance(outcome, Failed):
        return outcome
    try:
        for score in outcome.scores:
            score.check()
    except EvaluationError as error:
        return Failed(
            outcome.candidate,
            outcome.attempt,
            error.code,
            error.detail,
            error.remedy,
            worker=outcome.worker,
        )
    return outcome
