"""Dispatcher: brings candidates to the workers, and their answers back."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Protocol
from uuid import UUID, uuid5

from evaluators import EvaluationError, ItemIndices, Race, Score, Split
from evaluators.scores import united_score
from search_spaces import Recipe
from service.candidate import Again, Candidate, Timings
from service.journal import Wish
from workers.messages import Assignment, Failed, Outcome, Scored, Workforce

MOST_ATTEMPTS = 3
PATIENCE = 0.2  # seconds between two looks at what people wish


class Record(Protocol):
    """Where outcomes are written down: the part of a journal that a dispatcher needs."""

    def settled(self, candidate: Candidate, outcome: Outcome, timings: Timings) -> None:
        """Notes how a candidate ended."""
        ...

    def known(self, candidate: Candidate) -> tuple[Score, ...]:
        """Returns what the same model is known to score on this split."""
        ...

    def wish(self) -> Wish | None:
        """Returns what is asked of the experiment now, if anything."""
        ...


class AgainRecord(Protocol):
    """Where it is written down what candidates answer that are asked again."""

    def asked_again(self, candidate: Candidate, generation: int, outcome: Outcome, timings: Timings) -> None:
        """Notes what a candidate answered to a later generation's items."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """A candidate to be scored.

    Attributes:
        items: Per benchmark, the places of the items to ask; None asks all.
        race: Whom it races, if anybody.
        ask_seconds: Its share of the optimizer's proposing.
        worked: Seconds that workers were at it in earlier attempts.
        again: The later generation whose items it is asked; None in its own.
        interim: What it answers decides whether it is asked more: nothing is written down yet.
        known: What it has answered in this generation already.
    """

    candidate: Candidate
    recipe: Recipe
    items: ItemIndices | None = None
    race: Race | None = None
    ask_seconds: float = 0.0
    attempt: int = 1
    worked: float = 0.0
    again: int | None = None
    interim: bool = False
    known: tuple[Score, ...] = ()

    @property
    def id(self) -> UUID:
        """What names the assignment: the candidate, or the candidate in a later generation."""
        key = self.candidate.id
        return key if self.again is None else uuid5(key, f"generation {self.again}")

    @property
    def key(self) -> tuple[str, ItemIndices | None]:
        """What names the scores: the model, and what it is asked."""
        return self.recipe.digest, self.items


class Dispatcher:
    """Has candidates scored on one split and written down; equal recipes are scored once.

    It holds as many assignments out as there are workers, so that the time between handing one out
    and its answer, less the work itself, is what the controller and the wire cost.
    """

    def __init__(
        self,
        workforce: Workforce,
        record: Record,
        *,
        timeout: float,
        split: Split = "search",
        again: AgainRecord | None = None,
    ) -> None:
        self.workforce, self.record, self.timeout, self.split = workforce, record, timeout, split
        self._again_record = again
        self.outcomes: dict[int, Outcome] = {}
        self.worked: dict[int, float] = {}  # seconds that workers were at a candidate
        self.interim: dict[int, tuple[Order, Scored]] = {}  # who may be asked more, by number
        self.again: dict[tuple[int, int], Again] = {}  # by candidate and later generation
        self._scored: dict[tuple[str, ItemIndices | None], Scored] = {}
        self._queue: deque[Order] = deque()
        self._out: dict[UUID, tuple[Order, float]] = {}  # with the time it was handed out

    @property
    def is_idle(self) -> bool:
        """Says whether nothing is left to do."""
        return not self._queue and not self._out

    @property
    def has_work_out(self) -> bool:
        """Says whether a worker is at something."""
        return bool(self._out)

    def add(self, order: Order) -> None:
        """Queues a candidate."""
        self._queue.append(order)

    def remember(self, candidate: Candidate, outcome: Outcome, *, items: ItemIndices | None = None) -> None:
        """Takes in how a candidate ended earlier: its twins need no worker."""
        self.outcomes[candidate.number] = outcome
        if isinstance(outcome, Scored) and isinstance(candidate.recipe, Recipe):
            self._scored.setdefault((candidate.recipe.digest, items), outcome)

    def conclude(self, number: int) -> None:
        """Writes down a candidate that is asked no more: it lost on the items that it was asked."""
        order, outcome = self.interim.pop(number)
        self._write(replace(order, interim=False), replace(outcome, pruned=True))

    def step(self, *, hand_out: bool = True) -> None:
        """Hands out what there are free workers for, and waits a moment for an answer."""
        if hand_out:
            self._hand_out()
        self._collect()

    def abandon(self) -> None:
        """Drops everything that is out."""
        self.workforce.drop()
        self._out.clear()

    def settle(
        self, candidates: Sequence[Candidate], known: Mapping[int, Outcome], ask_seconds: float = 0.0
    ) -> dict[int, Outcome] | Wish:
        """Returns every candidate's outcome by number, or the wish that came in between.

        Candidates without a recipe have no outcome.  What was settled before a wish came is
        written down already.
        """
        self._queue.clear()
        for candidate in candidates:
            if candidate.number in known:
                self.remember(candidate, known[candidate.number])
            elif isinstance(candidate.recipe, Recipe):
                self.add(Order(candidate, candidate.recipe, ask_seconds=ask_seconds))
        while not self.is_idle:
            wish = self.record.wish()
            if wish in (Wish.CANCEL, Wish.STOP):
                self.abandon()
                return wish
            if wish is not None and not self._out:
                return wish
            self.step(hand_out=wish is None)
        numbers = {candidate.number for candidate in candidates}
        return {number: outcome for number, outcome in self.outcomes.items() if number in numbers}

    def _hand_out(self) -> None:
        """Submits as many as there are free workers; candidates whose scores are known need none."""
        under_way = {order.key for order, _ in self._out.values()}
        held_back = []
        while self._queue and len(self._out) < self.workforce.slots:
            order = self._queue.popleft()
            if (scored := self._scored.get(order.key)) is not None:
                twin = replace(scored, candidate=order.id, merge_seconds=0.0, evaluate_seconds=0.0, asked=0)
                self._write(order, twin)
            elif order.key in under_way:
                held_back.append(order)  # its twin's scores will do
            else:
                self._submit(order)
                under_way.add(order.key)
        self._queue.extendleft(reversed(held_back))

    def _submit(self, order: Order) -> None:
        candidate = order.candidate
        assignment = Assignment(
            order.id,
            candidate.number,
            order.recipe,
            split=self.split,
            attempt=order.attempt,
            timeout=self.timeout,
            items=order.items,
            race=order.race,
            known=(*self.record.known(candidate), *order.known),
        )
        self.workforce.submit(assignment)
        self._out[order.id] = (order, monotonic())

    def _collect(self) -> None:
        """Waits a moment for an answer and writes it down, or queues a lost candidate again."""
        # With work left and nothing out, all workers are being restarted.
        outcome = self.workforce.next_outcome(PATIENCE) if not self.is_idle else None
        if outcome is None or outcome.candidate not in self._out:
            return
        order, handed_out = self._out.pop(outcome.candidate)
        seconds = monotonic() - handed_out
        worked = outcome.merge_seconds + outcome.evaluate_seconds if isinstance(outcome, Scored) else seconds
        order = replace(order, worked=order.worked + worked)
        if isinstance(outcome, Failed) and outcome.retryable and outcome.attempt < MOST_ATTEMPTS:
            self._queue.appendleft(replace(order, attempt=outcome.attempt + 1))
            return
        self._write(order, checked(outcome), dispatch=max(seconds - worked, 0.0))

    def _write(self, order: Order, outcome: Outcome, *, dispatch: float = 0.0) -> None:
        timings = Timings(ask=order.ask_seconds, dispatch=dispatch, worked=order.worked)
        if order.interim and isinstance(outcome, Scored):
            self._scored.setdefault(order.key, outcome)
            self.interim[order.candidate.number] = (order, outcome)
            return
        if order.again is not None:
            self._write_again(order, order.again, outcome, timings)
            return
        self.record.settled(order.candidate, outcome, timings)
        self.worked[order.candidate.number] = order.worked
        self.remember(order.candidate, outcome, items=order.items)

    def _write_again(self, order: Order, generation: int, outcome: Outcome, timings: Timings) -> None:
        """Adds what a candidate answered now to what it had answered."""
        candidate = order.candidate
        if isinstance(outcome, Scored):
            self._scored.setdefault(order.key, outcome)
            outcome = united(self.outcomes.get(candidate.number), outcome)
        if self._again_record is not None:
            self._again_record.asked_again(candidate, generation, outcome, timings)
        if isinstance(outcome, Scored):
            self.outcomes[candidate.number] = outcome
        again = Again(generation, isinstance(outcome, Scored), order.worked)
        self.again[candidate.number, generation] = again


def united(before: Outcome | None, after: Scored) -> Scored:
    """Returns one outcome with the answers of both, and the means over them."""
    if not isinstance(before, Scored):
        return after
    pairs = zip(before.scores, after.scores, strict=True)
    return replace(before, scores=tuple(united_score(old, new) for old, new in pairs))


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
