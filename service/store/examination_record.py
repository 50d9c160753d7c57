"""ExaminationRecord: what an examination asked, and what came of it, as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import cast
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from evaluators import Score, Split
from service.errors import ConflictError
from service.experiment.candidate import Candidate, Timings
from service.experiment.examination_step import Step
from service.experiment.findings import SensitivityFinding
from service.search.journal import ControlRequest
from service.store.journal import DatabaseJournal
from service.store.models import (
    EvaluationRow,
    ExaminationStepRow,
    ExperimentRow,
    OpeningRow,
    SensitivityRow,
)
from service.store.repository import Repository
from service.store.rows import evaluation_rows
from service.store.types import now
from workers.protocol.failure import Failure
from workers.protocol.messages import Assignment, Failed, Outcome, Scored

TEST_OPENED = "test_split.opened"
VARIED = "winner.varied"
FORESEEN = "examination.foreseen"


class ExaminationRecord:
    """Writes down what examined candidates scored on another split; they have ended long ago.

    Attributes:
        items: How many items one model is asked there.
    """

    def __init__(self, journal: DatabaseJournal, split: Split, *, items: int = 0) -> None:
        self.journal, self.split, self.items = journal, split, items
        self._clock = monotonic()

    def settled(self, candidate: Candidate, outcome: Outcome, timings: Timings) -> None:  # noqa: ARG002
        """Notes the candidate's scores on this split, or why it has none."""
        key, payload = self.journal.experiment_id, {"number": candidate.number, "split": self.split}
        with self.journal.writing() as session:
            self._step(session, candidate.number, "", outcome)
            if isinstance(outcome, Scored):
                rows = evaluation_rows(candidate.id, self.split, outcome.scores)
                session.execute(insert(EvaluationRow), rows)
                Repository(session).add_event(key, "candidate.examined", payload)
            else:
                failure = outcome.failure.as_json()
                Repository(session).add_event(key, "candidate.examined", payload | {"failure": failure})

    def open(self, numbers: Sequence[int]) -> None:
        """Notes, once, that the sealed test split is read, and for whom.

        Raises:
            ConflictError: It was read before, for others.
        """
        key, chosen = self.journal.experiment_id, list(numbers)
        with self.journal.writing() as session:
            row = session.get_one(ExperimentRow, key)
            if row.test_opened_at is None:
                row.test_opened_at = now()
                session.add(OpeningRow(experiment_id=key, split=self.split, numbers=chosen))
                payload = {"split": self.split, "numbers": chosen}
                Repository(session).add_event(key, TEST_OPENED, payload)
                return
            # The last: an experiment that is extended is sealed again, and says so.
            query = select(OpeningRow.numbers).where(OpeningRow.experiment_id == key)
            if session.scalars(query.order_by(OpeningRow.id.desc())).first() != chosen:
                raise ConflictError("the test split was read before, for other candidates")

    def _step(self, session: Session, number: int, conditions: str, outcome: Outcome) -> None:
        """Notes what it took: the time since the step before."""
        before, self._clock = self._clock, monotonic()
        row = ExaminationStepRow(
            experiment_id=self.journal.experiment_id,
            number=number,
            split=self.split,
            conditions=conditions,
            items=self.items,
            seconds=self._clock - before,
            failure=outcome.failure.as_json() if isinstance(outcome, Failed) else None,
        )
        session.add(row)

    def varied(
        self, number: int, conditions: str, outcome: Outcome, findings: Sequence[SensitivityFinding]
    ) -> None:
        """Notes what other conditions did to the winner's scores."""
        key, found = self.journal.experiment_id, [one.model_dump(mode="json") for one in findings]
        with self.journal.writing() as session:
            self._step(session, number, conditions, outcome)
            session.add(
                SensitivityRow(experiment_id=key, number=number, conditions=conditions, findings=found)
            )
            payload = {"number": number, "conditions": conditions, "findings": found}
            Repository(session).add_event(key, VARIED, payload)

    def recall_varied(self, number: int) -> dict[str, list[SensitivityFinding]]:
        """Returns what was noted by `varied` of a candidate, by the conditions' names."""
        key = self.journal.experiment_id
        with self.journal.database.reading() as session:
            query = select(SensitivityRow).where(
                SensitivityRow.experiment_id == key, SensitivityRow.number == number
            )
            rows = list(session.scalars(query))
        return {
            row.conditions: [SensitivityFinding.model_validate(one) for one in row.findings] for row in rows
        }

    def known(self, candidate: Candidate) -> tuple[Score, ...]:  # noqa: ARG002
        """Returns nothing: what is held out is asked afresh."""
        return ()

    def dispatched(self, assignments: Sequence[Assignment], *, in_process: bool) -> Mapping[UUID, int]:
        """Notes assignments before they are handed out; returns those that must not be, as they kill."""
        return self.journal.dispatched(assignments, in_process=in_process)

    def answered(self, assignment: UUID, split: Split) -> None:
        """Takes in that a worker has answered."""
        self.journal.answered(assignment, split)

    def commit(self) -> None:
        """Makes durable what was noted of the search; an examination's steps are so at once."""
        self.journal.commit()

    def control_request(self) -> ControlRequest | None:
        """Returns what is asked of the experiment now."""
        return self.journal.control_request()


def recall_steps(journal: DatabaseJournal) -> dict[tuple[int, Split, str], Step]:
    """Returns the steps that an experiment's examination has taken, by number, split and conditions."""
    with journal.database.reading() as session:
        query = select(ExaminationStepRow).where(ExaminationStepRow.experiment_id == journal.experiment_id)
        steps = [_step_of(row) for row in session.scalars(query)]
    return {step.key: step for step in steps}


def _step_of(row: ExaminationStepRow) -> Step:
    failure = None if row.failure is None else Failure.from_json(row.failure)
    return Step(row.number, cast("Split", row.split), row.conditions, row.items, row.seconds, failure)


def foresee(journal: DatabaseJournal, steps: int, items: int) -> None:
    """Notes how many steps and items an examination will have at most."""
    foreseen = {"steps": steps, "items": items}
    with journal.writing() as session:
        row = session.get_one(ExperimentRow, journal.experiment_id)
        if row.facts.get("examination") != foreseen:
            row.facts = {**row.facts, "examination": foreseen}
            Repository(session).add_event(journal.experiment_id, FORESEEN, foreseen)
