"""Dispatcher: brings candidates to the workers, and their answers back."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Protocol
from uuid import UUID, uuid5

from evaluators import ItemIndices, Race, Score, Split
from evaluators.scores import united_score
from search_spaces import Recipe
from service.experiment.candidate import Candidate, Reevaluation, Timings
from service.search.answers import believable
from service.search.journal import ControlRequest
from workers.protocol.messages import Assignment, Failed, Outcome, Scored, Workforce
from workers.protocol.outcomes import poison

MOST_ATTEMPTS = 3
PATIENCE = 0.2  # seconds between two looks for a control request


class Record(Protocol):
    """Where outcomes are written down: the part of a journal that a dispatcher needs."""

    def settled(self, candidate: Candidate, outcome: Outcome, timings: Timings) -> None:
        """Notes how a candidate ended."""
        ...

    def known(self, candidate: Candidate) -> tuple[Score, ...]:
        """Returns what the same model is known to score on this split."""
        ...

    def dispatched(self, assignments: Sequence[Assignment], *, in_process: bool) -> Mapping[UUID, int]:
        """Notes assignments before they are handed out; in this process they may be its end.

        Returns those that must not be handed out, by their candidates' ids: how many controllers died
        while they were out.
        """
        ...

    def answered(self, assignment: UUID, split: Split) -> None:
        """Takes in that a worker has answered."""
        ...

    def commit(self) -> None:
        """Makes durable what was noted since the last time."""
        ...

    def control_request(self) -> ControlRequest | None:
        """Returns what is asked of the experiment now, if anything."""
        ...


class ReevaluationRecord(Protocol):
    """Where the answers of re-evaluated candidates are written down."""

    def reevaluated(self, candidate: Candidate, generation: int, outcome: Outcome, timings: Timings) -> None:
        """Notes what a candidate answered to a later generation's items."""
        ...


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """A candidate to be scored.

    Attributes:
        items: Per benchmark, the places of the items to ask; None asks all.
        race: The race that it takes part in, if any.
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
        """What names the scores: the model, and what it is asked; asked anew, it has no twin."""
        anew = f", asked anew as {self.candidate.number}" if self.candidate.is_asked_anew else ""
        return f"{self.recipe.digest}{anew}", self.items


class Dispatcher:
    """Has candidates scored on one split and written down; equal recipes are scored once.

    It holds as many assignments out as there are workers for it now, so that the time between handing one out
    and its answer, less the work itself, is what the controller and the wire cost.
    """

    def __init__(
        self,
        workforce: Workforce,
        record: Record,
        *,
        timeout: float,
        split: Split = "search",
        again: ReevaluationRecord | None = None,
        benchmarks: Sequence[str] = (),
    ) -> None:
        """Takes, beside the workers and where to write, the names of what is asked; () takes any answer."""
        self.workforce, self.record, self.timeout, self.split = workforce, record, timeout, split
        self.benchmarks = tuple(benchmarks)
        self._reevaluation_record = again
        self.outcomes: dict[int, Outcome] = {}
        self.worked: dict[int, float] = {}  # seconds that workers were at a candidate
        self.interim: dict[
            int, tuple[EvaluationRequest, Scored]
        ] = {}  # those that may be asked more, by number
        self.again: dict[tuple[int, int], Reevaluation] = {}  # by candidate and later generation
        self._scored: dict[tuple[str, ItemIndices | None], Scored] = {}
        self._queue: deque[EvaluationRequest] = deque()
        self._out: dict[UUID, tuple[EvaluationRequest, float]] = {}  # with the time it was handed out

    @property
    def is_idle(self) -> bool:
        """Says whether nothing is left to do."""
        return not self._queue and not self._out

    @property
    def has_work_out(self) -> bool:
        """Says whether a worker is at something."""
        return bool(self._out)

    def add(self, request: EvaluationRequest) -> None:
        """Queues a candidate."""
        self._queue.append(request)

    def remember(self, candidate: Candidate, outcome: Outcome, *, items: ItemIndices | None = None) -> None:
        """Takes in how a candidate ended earlier: its twins need no worker."""
        self.outcomes[candidate.number] = outcome
        if isinstance(outcome, Scored) and (digest := candidate.digest) is not None:
            self._scored.setdefault((digest, items), outcome)

    def conclude(self, number: int) -> None:
        """Writes down a candidate that is asked no more: it lost on the items that it was asked."""
        request, outcome = self.interim.pop(number)
        self._write(replace(request, interim=False), replace(outcome, pruned=True))

    def step(self, *, hand_out: bool = True) -> None:
        """Hands out what there are free workers for, and waits a moment for an answer."""
        if hand_out:
            self._hand_out()
        else:
            self.workforce.claim(len(self._out))
        self._collect()

    def abandon(self) -> None:
        """Drops everything that is out."""
        self.workforce.drop()
        self._out.clear()

    def settle(
        self, candidates: Sequence[Candidate], known: Mapping[int, Outcome], ask_seconds: float = 0.0
    ) -> dict[int, Outcome] | ControlRequest:
        """Returns every candidate's outcome by number, or the request that came in between.

        Candidates without a recipe have no outcome.  What was settled before the request came is
        written down already.
        """
        self._queue.clear()
        for candidate in candidates:
            if candidate.number in known:
                self.remember(candidate, known[candidate.number])
            elif isinstance(candidate.recipe, Recipe):
                self.add(EvaluationRequest(candidate, candidate.recipe, ask_seconds=ask_seconds))
        while not self.is_idle:
            control_request = self.record.control_request()
            if control_request in (ControlRequest.CANCEL, ControlRequest.STOP):
                self.abandon()
            if control_request is not None and not self._out:
                self.record.commit()
                return control_request
            self.step(hand_out=control_request is None)
        self.record.commit()
        numbers = {candidate.number for candidate in candidates}
        return {number: outcome for number, outcome in self.outcomes.items() if number in numbers}

    def _hand_out(self) -> None:
        """Submits as many as there are free workers; candidates whose scores are known need none."""
        under_way = {request.key for request, _ in self._out.values()}
        held_back: list[EvaluationRequest] = []
        chosen: list[EvaluationRequest] = []
        room = self.workforce.claim(len(self._queue) + len(self._out))
        while self._queue and len(self._out) + len(chosen) < room:
            request = self._queue.popleft()
            if (scored := self._scored.get(request.key)) is not None:
                twin = replace(scored, candidate=request.id, merge_seconds=0.0, evaluate_seconds=0.0, asked=0)
                self._write(request, twin)
            elif request.key in under_way:
                held_back.append(request)  # its twin's scores will do
            else:
                chosen.append(request)
                under_way.add(request.key)
        self._queue.extendleft(reversed(held_back))
        if chosen:
            self._submit(chosen)

    def _submit(self, requests: Sequence[EvaluationRequest]) -> None:
        """Hands requests out, but for those that have been the end of controllers."""
        assignments = [self._assignment(request) for request in requests]
        in_process = self.workforce.in_process
        poisonous = self.record.dispatched(assignments, in_process=in_process)
        for request, assignment in zip(requests, assignments, strict=True):
            if (crashes := poisonous.get(request.id)) is not None:
                self._write(request, poison(assignment, crashes))
                continue
            self.workforce.submit(assignment)
            self._out[request.id] = (request, monotonic())

    def _assignment(self, request: EvaluationRequest) -> Assignment:
        candidate = request.candidate
        return Assignment(
            request.id,
            candidate.number,
            request.recipe,
            split=self.split,
            attempt=request.attempt,
            timeout=self.timeout,
            items=request.items,
            race=request.race,
            known=(*(() if candidate.is_asked_anew else self.record.known(candidate)), *request.known),
        )

    def _collect(self) -> None:
        """Waits a moment for answers and takes all that are there; they are written down together."""
        self.record.commit()
        # With work left and nothing out, all workers are being restarted.
        outcome = self.workforce.next_outcome(PATIENCE) if not self.is_idle else None
        while outcome is not None:
            self._take(outcome)
            outcome = self.workforce.next_outcome(0.0) if self._out else None

    def _take(self, outcome: Outcome) -> None:
        """Notes an answer, or queues a lost candidate again."""
        if outcome.candidate not in self._out:
            return
        request, handed_out = self._out.pop(outcome.candidate)
        self.record.answered(request.id, self.split)
        seconds = monotonic() - handed_out
        outcome = believable(outcome, self.benchmarks, seconds=seconds)
        worked = outcome.merge_seconds + outcome.evaluate_seconds if isinstance(outcome, Scored) else seconds
        request = replace(request, worked=request.worked + worked)
        if isinstance(outcome, Failed) and outcome.failure.retryable and outcome.attempt < MOST_ATTEMPTS:
            self._queue.appendleft(replace(request, attempt=outcome.attempt + 1))
            return
        self._write(request, outcome, dispatch=max(seconds - worked, 0.0))

    def _write(self, request: EvaluationRequest, outcome: Outcome, *, dispatch: float = 0.0) -> None:
        timings = Timings(ask=request.ask_seconds, dispatch=dispatch, worked=request.worked)
        if request.interim and isinstance(outcome, Scored):
            self._scored.setdefault(request.key, outcome)
            self.interim[request.candidate.number] = (request, outcome)
            return
        if request.again is not None:
            self._write_reevaluation(request, request.again, outcome, timings)
            return
        self.record.settled(request.candidate, outcome, timings)
        self.worked[request.candidate.number] = request.worked
        self.remember(request.candidate, outcome, items=request.items)

    def _write_reevaluation(
        self, request: EvaluationRequest, generation: int, outcome: Outcome, timings: Timings
    ) -> None:
        """Adds what a candidate answered now to what it had answered."""
        candidate = request.candidate
        if isinstance(outcome, Scored):
            self._scored.setdefault(request.key, outcome)
            outcome = united(self.outcomes.get(candidate.number), outcome)
        if self._reevaluation_record is not None:
            self._reevaluation_record.reevaluated(candidate, generation, outcome, timings)
        if isinstance(outcome, Scored):
            self.outcomes[candidate.number] = outcome
        again = Reevaluation(generation, isinstance(outcome, Scored), request.worked)
        self.again[candidate.number, generation] = again


def united(before: Outcome | None, after: Scored) -> Scored:
    """Returns one outcome with the answers of both, and the means over them."""
    if not isinstance(before, Scored):
        return after
    pairs = zip(before.scores, after.scores, strict=True)
    return replace(before, scores=tuple(united_score(old, new) for old, new in pairs))
