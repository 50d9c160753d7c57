"""Batch: what a journal notes between two commits, written by few statements whatever its size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Table, Update, bindparam, insert, inspect, update
from sqlalchemy.orm import Session

from evaluators import Score
from service.errors import ConflictError, LeaseLostError
from service.experiment.candidate import CandidateStatus, Timings
from service.search.journal import GenerationSummary
from service.store.leases import prove_lease
from service.store.models import CandidateRow, EvaluationRow, ExperimentRow, Json
from service.store.repository import Repository
from service.store.rows import evaluation_rows
from service.store.types import now
from workers.protocol.messages import Failed, Outcome, Scored

_CANDIDATES: Table = CandidateRow.__table__  # type: ignore[assignment]
_EVALUATIONS: Table = EvaluationRow.__table__  # type: ignore[assignment]
_EXPERIMENTS: Table = ExperimentRow.__table__  # type: ignore[assignment]
_SEARCHED = (
    update(_EXPERIMENTS)
    .where(_EXPERIMENTS.c.id == bindparam("key"), _EXPERIMENTS.c.epoch == bindparam("held"))
    .values(search_seconds=_EXPERIMENTS.c.search_seconds + bindparam("more"))
    .returning(_EXPERIMENTS.c.search_seconds)
)
_COLUMN_OF = {each.key: each.columns[0].key for each in inspect(EvaluationRow).column_attrs}
SETTLED = "candidate.settled"
_ENDED_COLUMNS = ("attempts", "worker", "settled_at", "status", "failure", "seconds")
_TOLD_COLUMNS = ("told", "seconds", "measures", "violation")


def _change(*names: str) -> Update:
    """Returns a statement that gives the candidate `key` these columns' new values."""
    values = {name: bindparam(f"new_{name}", type_=_CANDIDATES.c[name].type) for name in names}
    return update(_CANDIDATES).where(_CANDIDATES.c.id == bindparam("key")).values(values)


_IS_OPEN = _CANDIDATES.c.status == CandidateStatus.PROPOSED
_TELL = _change(*_TOLD_COLUMNS)
_END = _change(*_ENDED_COLUMNS).where(_IS_OPEN)
_END_AND_TELL = _change(*{*_ENDED_COLUMNS, *_TOLD_COLUMNS}).where(_IS_OPEN)
_VALUE = (
    update(_EVALUATIONS)
    .where(
        _EVALUATIONS.c.candidate_id == bindparam("key"),
        _EVALUATIONS.c.split == "search",
        _EVALUATIONS.c.benchmark == bindparam("name"),
    )
    .values(value=bindparam("new_value"), stderr=bindparam("new_stderr"))
)


class Batch:
    """Rows, changes and events of one experiment that become durable together, or not at all."""

    def __init__(self, experiment_id: UUID) -> None:
        self.experiment_id = experiment_id
        self.size = 0  # candidates noted, each as often as something was noted of it
        self._proposed: list[dict[str, Any]] = []
        self._ended: dict[UUID, dict[str, Any]] = {}
        self._evaluations: list[dict[str, Any]] = []
        self._ended_and_told: list[dict[str, Any]] = []
        self._told: list[dict[str, Any]] = []
        self._values: list[dict[str, Any]] = []
        self._generations: list[tuple[GenerationSummary, float, Json]] = []
        self._events: list[tuple[str, Json]] = []
        self._seconds = 0.0
        self._reference: list[float] | None = None

    def propose(self, rows: Sequence[dict[str, Any]]) -> None:
        """Adds candidates, as `service.store.rows.new_row` describes them."""
        self._proposed += rows
        self.size += len(rows)

    def end(self, key: UUID, number: int, outcome: Outcome, timings: Timings) -> Json:
        """Adds how a candidate ended; returns the seconds that its row gets.

        Raises:
            ConflictError: It has ended before.
        """
        if key in self._ended:
            raise ConflictError(f"candidate {number} has ended before")
        columns = ended(outcome, timings)
        self._ended[key] = {"key": key} | {f"new_{name}": columns[name] for name in _ENDED_COLUMNS}
        if isinstance(outcome, Scored):
            found = evaluation_rows(key, "search", outcome.scores)
            self._evaluations += [{_COLUMN_OF[name]: v for name, v in row.items()} for row in found]
        self._events.append((SETTLED, {"number": number, "status": columns["status"].value}))
        self.size += 1
        seconds: Json = columns["seconds"]
        return seconds

    def tell(self, rows: Sequence[dict[str, Any]]) -> None:
        """Adds places in the order of telling: of each candidate `id` and the columns that change."""
        for row in rows:
            told = {"key": row["id"]} | {f"new_{name}": row[name] for name in _TOLD_COLUMNS}
            if (before := self._ended.pop(row["id"], None)) is None:
                self._told.append(told)
            else:
                self._ended_and_told.append(before | told)
        self.size += len(rows)

    def value(self, key: UUID, scores: Sequence[Score]) -> None:
        """Adds estimates for all items, over the means of those that were asked."""
        self._values += value_rows(key, scores)

    def search(self, seconds: float, progress: GenerationSummary | None) -> None:
        """Adds time spent searching and, after a generation, where the search stands."""
        self._seconds += seconds
        if progress is None:
            return
        self._reference = list(progress.reference) if progress.reference else self._reference
        event: Json = {}
        self._generations.append((progress, self._seconds, event))
        self._events.append(("generation.told", event))

    def write(self, session: Session, epoch: int) -> None:
        """Writes everything down, after proving that the lease is held and stays so to the end.

        Raises:
            LeaseLostError: Another controller runs the experiment now.
            ConflictError: A candidate had ended before.
        """
        searched = self._prove(session, epoch)
        if self._proposed:
            session.execute(insert(_CANDIDATES), self._proposed)
        self._write_ends(session, _END, list(self._ended.values()))
        self._write_ends(session, _END_AND_TELL, self._ended_and_told)
        if self._evaluations:
            session.execute(insert(_EVALUATIONS), self._evaluations)
        if self._told:
            session.connection().execute(_TELL, self._told)
        write_values(session, self._values)
        self._write_generations(session, searched)
        if self._events:
            Repository(session).add_events(self.experiment_id, self._events)

    def _prove(self, session: Session, epoch: int) -> float:
        """Holds the lease to the transaction's end; returns the seconds that were searched before."""
        if not self._seconds and self._reference is None:
            prove_lease(session, self.experiment_id, epoch)
            return 0.0
        given = {"key": self.experiment_id, "held": epoch, "more": self._seconds}
        searched = session.connection().execute(_SEARCHED, given).scalar()
        if searched is None:
            raise LeaseLostError(self.experiment_id)
        if self._reference is not None:
            session.get_one(ExperimentRow, self.experiment_id).reference = self._reference
        return float(searched - self._seconds)

    def _write_ends(self, session: Session, statement: Update, rows: Sequence[dict[str, Any]]) -> None:
        if not rows or session.connection().execute(statement, rows).rowcount == len(rows):
            return
        numbers = sorted({event["number"] for kind, event in self._events if kind == SETTLED})
        which = "candidate" if len(numbers) == 1 else "one of the candidates"
        raise ConflictError(f"{which} {', '.join(map(str, numbers))} has ended before")

    def _write_generations(self, session: Session, searched: float) -> None:
        for summary, seconds, event in self._generations:
            repository = Repository(session)
            event.update(repository.put_generation(self.experiment_id, summary, searched + seconds))


def value_rows(key: UUID, scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Returns a candidate's estimates for all items, for `write_values`."""
    return [
        {"key": key, "name": score.benchmark, "new_value": score.value, "new_stderr": score.stderr}
        for score in scores
    ]


def write_values(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Writes estimates over the means of the items that were asked."""
    if rows:
        session.connection().execute(_VALUE, rows)


def ended(outcome: Outcome, timings: Timings) -> dict[str, Any]:
    """Returns the columns that change when a candidate ends."""
    seconds = {"ask": timings.ask, "dispatch": timings.dispatch, "worked": timings.worked}
    columns: dict[str, Any] = {"attempts": outcome.attempt, "worker": outcome.worker, "settled_at": now()}
    if isinstance(outcome, Failed):
        failure = outcome.failure.as_json()
        return columns | {"status": CandidateStatus.FAILED, "failure": failure, "seconds": seconds}
    seconds |= {"merge": outcome.merge_seconds, "evaluate": outcome.evaluate_seconds}
    status = CandidateStatus.PRUNED if outcome.pruned else CandidateStatus.SCORED
    return columns | {"status": status, "failure": None, "seconds": seconds}
