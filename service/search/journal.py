"""Journal: the port through which the search loop remembers.  Its two kinds: a database, a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from evaluators import Score, Split
from service.experiment.candidate import Candidate, FitnessRecord, Reevaluation, Remembered, Timings
from service.experiment.enqueued import Enqueued
from service.experiment.findings import EstimatorFinding
from workers.protocol.messages import Assignment, Outcome, Scored


class ControlRequest(StrEnum):
    """What is asked of a running experiment.

    People pause (candidates on a worker finish), cancel (they do not), and finish (nothing more is asked
    for, and the search ends as if its budget were spent); a controller that shuts down stops: it drops what
    is on the workers, and the next one begins there.
    """

    PAUSE = "pause"
    FINISH = "finish"
    CANCEL = "cancel"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class GenerationSummary:
    """Where the search stands after a generation.

    Attributes:
        settled: How many candidates were told so far.
        best: Highest weighted mean of the objectives so far, and whose it is.
        hypervolume: Of the front, over the worst baseline in each objective.
        reference: That worst, as fitness; None when no baseline has scores.
        estimator: How well scores of a part of the items predicted those of the next: see
            `service.search.fidelity.estimator_check`; None where every candidate is asked all items.
    """

    generation: int
    settled: int
    best: float | None
    best_number: int | None
    hypervolume: float
    front: tuple[int, ...]
    reference: tuple[float, ...] | None = None
    estimator: EstimatorFinding | None = None


class Journal(Protocol):
    """Remembers everything that happened, durably and in order.

    What was noted is durable once `commit` returns; handing out (`dispatched`) and re-evaluations commit
    as well.  A crash before that forgets everything noted since the last commit, never a part of it.
    """

    def recall(self) -> list[Remembered]:
        """Returns every candidate proposed so far, by number."""
        ...

    def proposed(self, candidates: Sequence[Candidate]) -> None:
        """Notes candidates before any of them is dispatched."""
        ...

    def enqueued(self, most: int) -> Sequence[Enqueued]:
        """Returns recipes that people put into the queue and that are no candidates yet, in their order."""
        ...

    def settled(self, candidate: Candidate, outcome: Outcome, timings: Timings) -> None:
        """Notes how a candidate ended; infeasible ones end when they are proposed."""
        ...

    def told(
        self, record: Sequence[FitnessRecord], progress: GenerationSummary | None, seconds: float
    ) -> None:
        """Notes that the optimizer learned of these candidates, in this order.

        `progress` comes with the last candidate of a generation.
        """
        ...

    def reevaluated(self, candidate: Candidate, generation: int, outcome: Outcome, timings: Timings) -> None:
        """Notes what a candidate answered to a later generation's items; the outcome holds all it knows."""
        ...

    def retold(self, record: Sequence[FitnessRecord]) -> None:
        """Notes what candidates are worth now that they have answered more."""
        ...

    def known(self, candidate: Candidate) -> tuple[Score, ...]:
        """Returns what the same model scored on the search split in other experiments."""
        ...

    def dispatched(self, assignments: Sequence[Assignment], *, in_process: bool) -> Mapping[UUID, int]:
        """Notes assignments before they are handed out; returns those that must not be, as they kill.

        By their candidates' ids: how many controllers died while they were out.
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


def with_values(outcome: Scored, scores: Sequence[Score]) -> Scored:
    """Returns an outcome with these values and standard errors, and its own answers."""
    values = {score.benchmark: score for score in scores}
    return replace(
        outcome,
        scores=tuple(
            replace(own, value=values[own.benchmark].value, stderr=values[own.benchmark].stderr)
            for own in outcome.scores
        ),
    )


class ListJournal:
    """A journal in memory: for searches that need not survive their process."""

    def __init__(self) -> None:
        self.entries: dict[int, Remembered] = {}
        self.progress: list[GenerationSummary] = []
        self.requested: ControlRequest | None = None
        self.queue: list[Enqueued] = []

    def recall(self) -> list[Remembered]:
        """Returns every candidate proposed so far, by number."""
        return [self.entries[number] for number in sorted(self.entries)]

    def proposed(self, candidates: Sequence[Candidate]) -> None:
        """Notes candidates before any of them is dispatched."""
        self.entries |= {candidate.number: Remembered(candidate) for candidate in candidates}

    def enqueued(self, most: int) -> Sequence[Enqueued]:
        """Returns recipes that were put into `queue` and that are no candidates yet, in their order."""
        taken = {entry.candidate.id for entry in self.entries.values()} if self.queue else set()
        return [each for each in self.queue if each.id not in taken][:most]

    def settled(self, candidate: Candidate, outcome: Outcome, timings: Timings) -> None:
        """Notes how a candidate ended."""
        entry = self.entries[candidate.number]
        self.entries[candidate.number] = replace(entry, outcome=outcome, worked=timings.worked)

    def told(
        self,
        record: Sequence[FitnessRecord],
        progress: GenerationSummary | None,
        seconds: float,  # noqa: ARG002
    ) -> None:
        """Notes that the optimizer learned of these candidates, in this order."""
        first = 1 + max((e.told for e in self.entries.values() if e.told is not None), default=-1)
        for place, each in enumerate(record, first):
            entry = self.entries[each.number]
            self.entries[each.number] = replace(entry, told=place, violation=each.violation)
        self.retold(record)
        if progress is not None:
            self.progress.append(progress)

    def reevaluated(self, candidate: Candidate, generation: int, outcome: Outcome, timings: Timings) -> None:
        """Notes what a candidate answered to a later generation's items."""
        entry = self.entries[candidate.number]
        answered = isinstance(outcome, Scored)
        again = Reevaluation(generation, answered, timings.worked)
        kept = outcome if answered else entry.outcome
        self.entries[candidate.number] = replace(entry, outcome=kept, again=(*entry.again, again))

    def retold(self, record: Sequence[FitnessRecord]) -> None:
        """Notes what candidates are worth now that they have answered more."""
        for each in record:
            entry = self.entries[each.number]
            if each.scores and isinstance(entry.outcome, Scored):
                valued = with_values(entry.outcome, each.scores)
                self.entries[each.number] = replace(entry, outcome=valued, violation=each.violation)

    def known(self, candidate: Candidate) -> tuple[Score, ...]:  # noqa: ARG002
        """Returns nothing: a list knows one experiment."""
        return ()

    def dispatched(
        self,
        assignments: Sequence[Assignment],  # noqa: ARG002
        *,
        in_process: bool,  # noqa: ARG002
    ) -> Mapping[UUID, int]:
        """Returns nothing: a list dies with its process."""
        return {}

    def answered(self, assignment: UUID, split: Split) -> None:
        """Notes nothing: no later process will ask."""

    def commit(self) -> None:
        """Does nothing: a list is as durable as it ever gets."""

    def control_request(self) -> ControlRequest | None:
        """Returns what was asked by setting `requested`."""
        return self.requested
