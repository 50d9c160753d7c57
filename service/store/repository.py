"""Repository: every query of the service, over one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, defer, selectinload

from evaluators import Score, Split
from search_spaces import Recipe
from service.errors import ConflictError, IllegalTransitionError, NameTakenError, NotFoundError
from service.experiment.candidate import ADDED_KINDS, CandidateKind, CandidateStatus
from service.experiment.status import ENDED, UNDER_WAY, ExperimentStatus, check_move
from service.search.journal import GenerationSummary
from service.store.clock import DatabaseClock
from service.store.models import (
    CandidateRow,
    EvaluationRow,
    EventRow,
    ExaminationStepRow,
    ExperimentRow,
    ExportRow,
    GenerationRow,
    IdempotencyKeyRow,
    Json,
)
from service.store.rows import score_of, summary_of
from service.store.types import now
from workers.protocol.failure import Failure

MOST_NUMBER = 2**31 - 1  # that a column of candidates' numbers holds
IDEMPOTENCY_TIME = timedelta(days=1)  # for which an answer is remembered
_MOST_LOCK = 2**63 - 1  # ids are random below: no two experiments share a lock


@dataclass(frozen=True, slots=True)
class Overview:
    """How many there are by status, and how many workers each experiment has, by name."""

    experiments: Mapping[ExperimentStatus, int]
    exports: Mapping[str, int]
    workers: Mapping[str, int]


class Repository:
    """Reads and writes rows.  Commits nothing: the transaction belongs to the caller."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def create_experiment(self, name: str, spec: Json, *, facts: Json) -> ExperimentRow:
        """Adds an experiment to the queue.

        Raises:
            NameTakenError: Another has this name.
        """
        row = ExperimentRow(name=name, spec=spec, facts=facts, status=ExperimentStatus.QUEUED)
        try:
            with self.session.begin_nested():
                self.session.add(row)
        except IntegrityError as error:
            raise NameTakenError(name) from error
        self.add_event(row.id, "experiment.created", {"name": name})
        return row

    def experiment(self, key: str | UUID) -> ExperimentRow:
        """Returns the experiment with this id or name.

        People's keys are texts, and find none that was deleted; a program's own ids find every one.

        Raises:
            NotFoundError: There is none.
        """
        row = self.any_experiment(key)
        if row is None or (isinstance(key, str) and row.deleted_at is not None):
            raise NotFoundError("experiment", key)
        return row

    def any_experiment(self, key: str | UUID) -> ExperimentRow | None:
        """Returns the experiment with this id or name, though it may have been deleted; None without any."""
        row = None
        if (found := _as_uuid(key)) is not None:
            row = self.session.get(ExperimentRow, found)
        if row is None and isinstance(key, str):
            row = self.session.scalar(select(ExperimentRow).where(ExperimentRow.name == key))
        return row

    def experiments(
        self,
        *,
        limit: int,
        before: ExperimentRow | UUID | None = None,
        among: Collection[UUID] | None = None,
        deleted: bool | None = False,
    ) -> list[ExperimentRow]:
        """Returns experiments, newest first; `before` goes on after the last of a page.

        Args:
            limit: How many.
            before: The last of the page before.
            among: Those alone; None takes all.
            deleted: Those alone that wait to be removed, or those alone that do not; None takes both.
        """
        query = select(ExperimentRow).order_by(ExperimentRow.id.desc()).limit(limit)
        if deleted is not None:
            gone = ExperimentRow.deleted_at
            query = query.where(gone.is_not(None) if deleted else gone.is_(None))
        if among is not None:
            query = query.where(ExperimentRow.id.in_(among))
        if before is not None:
            query = query.where(ExperimentRow.id < (before if isinstance(before, UUID) else before.id))
        return list(self.session.scalars(query))

    def experiments_under_way(self) -> list[ExperimentRow]:
        """Returns the experiments that run, end or wait to run, the oldest first."""
        query = select(ExperimentRow).where(ExperimentRow.status.in_(UNDER_WAY)).order_by(ExperimentRow.id)
        return list(self.session.scalars(query))

    def rename(self, experiment: ExperimentRow, name: str) -> None:
        """Gives an experiment another name.

        Raises:
            NameTakenError: Another one has it.
        """
        query = select(ExperimentRow.id).where(ExperimentRow.name == name, ExperimentRow.id != experiment.id)
        if self.session.scalar(query) is not None:
            raise NameTakenError(name)
        experiment.name = name
        self.session.flush()

    def is_exported(self, experiment_id: UUID) -> bool:
        """Says whether a candidate of an experiment waits to be written, or is being written."""
        query = select(ExportRow.id).where(
            ExportRow.experiment_id == experiment_id,
            ExportRow.status.in_(("queued", "running", "cancelling")),
        )
        return self.session.scalar(query.limit(1)) is not None

    def lock(self, experiment: ExperimentRow) -> None:
        """Reads an experiment as it is now, and keeps others from changing it in this transaction."""
        self.session.refresh(experiment, with_for_update=True)

    def move(
        self,
        experiment: ExperimentRow,
        wanted: ExperimentStatus,
        *,
        reason: str | None = None,
        failure: Failure | None = None,
    ) -> None:
        """Gives the experiment another status, and notes it as an event.

        Raises:
            IllegalTransitionError: The status may not follow the present one.
        """
        self.lock(experiment)
        check_move(f"experiment {experiment.name}", experiment.status, wanted)
        told = None if failure is None else failure.as_json()
        experiment.status, experiment.reason, experiment.failure = wanted, reason, told
        if wanted is ExperimentStatus.RUNNING and experiment.started_at is None:
            experiment.started_at = now()
        experiment.ended_at = now() if wanted in ENDED else None
        payload = {"status": wanted.value, "reason": reason} | ({"failure": told} if told else {})
        self.add_event(experiment.id, "experiment.status", payload)

    def candidates(
        self,
        experiment_id: UUID,
        *,
        after: int = -1,
        limit: int | None = None,
        status: CandidateStatus | None = None,
        where: ColumnElement[bool] | None = None,
    ) -> list[CandidateRow]:
        """Returns candidates by number, with their evaluations (but not each item's result)."""
        query = _with_scores(experiment_id).where(CandidateRow.number > after)
        if status is not None:
            query = query.where(CandidateRow.status == status)
        if where is not None:
            query = query.where(where)
        return list(self.session.scalars(query.order_by(CandidateRow.number).limit(limit)))

    def make_room(self, experiment: ExperimentRow, total: int) -> None:
        """Gives means of earlier distributions numbers beyond `total`: theirs are the search's from now on.

        What was exported of them keeps pointing at them.
        """
        mine = CandidateRow.experiment_id == experiment.id
        last = self.session.scalar(select(func.max(CandidateRow.number)).where(mine))
        free = max(total, (last or 0) + 1)
        query = select(CandidateRow).where(
            mine, CandidateRow.kind.in_(ADDED_KINDS), CandidateRow.number < total
        )
        for row in self.session.scalars(query.order_by(CandidateRow.number)).all():
            of_row = (ExportRow.experiment_id == experiment.id, ExportRow.candidate_number == row.number)
            self.session.execute(update(ExportRow).where(*of_row).values(candidate_number=free))
            row.number, free = free, free + 1
        self.session.flush()

    def candidate(self, experiment_id: UUID, number: int) -> CandidateRow:
        """Returns a candidate with its evaluations (but not each item's result).

        Raises:
            NotFoundError: There is none with this number.
        """
        query = _with_scores(experiment_id).where(CandidateRow.number == number)
        row = self.session.scalar(query) if 0 <= number <= MOST_NUMBER else None
        if row is None:
            raise NotFoundError("candidate", number)
        return row

    def candidates_numbered(self, experiment_id: UUID, numbers: Sequence[int]) -> list[CandidateRow]:
        """Returns the candidates with these numbers, with their evaluations (but not each item's result)."""
        query = _with_scores(experiment_id).where(CandidateRow.number.in_(numbers))
        return list(self.session.scalars(query.order_by(CandidateRow.number)))

    def answers(self, candidate: CandidateRow, split: Split) -> list[Score]:
        """Returns a candidate's scores on a split with each item's result, by the benchmarks' order."""
        of_candidate = (EvaluationRow.candidate_id == candidate.id, EvaluationRow.split == split)
        query = select(EvaluationRow).where(*of_candidate).order_by(EvaluationRow.position)
        # The same rows may be here already, without their items.
        fresh = query.execution_options(populate_existing=True)
        return [score_of(row) for row in self.session.scalars(fresh)]

    def recipes(self, experiment_id: UUID, numbers: Sequence[int]) -> dict[int, Recipe]:
        """Returns the recipes of the candidates with these numbers, as far as they have one."""
        query = select(CandidateRow.number, CandidateRow.recipe).where(
            CandidateRow.experiment_id == experiment_id,
            CandidateRow.number.in_(numbers),
            CandidateRow.recipe.is_not(None),
        )
        found = self.session.execute(query)
        return {number: Recipe.model_validate(recipe) for number, recipe in found}

    def counts(self, experiment_id: UUID) -> dict[CandidateStatus, int]:
        """Returns how many candidates have each status; statuses without candidates are left out."""
        query = (
            select(CandidateRow.status, func.count())
            .where(CandidateRow.experiment_id == experiment_id)
            .group_by(CandidateRow.status)
        )
        return {status: count for status, count in self.session.execute(query)}  # noqa: C416 - rows, not pairs

    def has_evolved(self, experiment_id: UUID) -> bool:
        """Says whether any candidate of the search itself has scores, generation 0 apart."""
        query = select(CandidateRow.id).where(
            CandidateRow.experiment_id == experiment_id,
            CandidateRow.status.in_((CandidateStatus.SCORED, CandidateStatus.PRUNED)),
            CandidateRow.kind.in_((CandidateKind.EVOLVED, CandidateKind.ENQUEUED)),
        )
        return self.session.scalar(query.limit(1)) is not None

    def cancel_candidates(self, experiment_id: UUID) -> None:
        """Ends all candidates that have not ended."""
        self.session.execute(
            update(CandidateRow)
            .where(
                CandidateRow.experiment_id == experiment_id, CandidateRow.status == CandidateStatus.PROPOSED
            )
            .values(status=CandidateStatus.CANCELLED, settled_at=now())
        )

    def generations(self, experiment_id: UUID) -> list[GenerationSummary]:
        """Returns where the search stood after each generation, in order."""
        query = select(GenerationRow).where(GenerationRow.experiment_id == experiment_id)
        return [summary_of(row) for row in self.session.scalars(query.order_by(GenerationRow.settled))]

    def last_generation(self, experiment_id: UUID) -> GenerationSummary | None:
        """Returns where the search stands since the last generation was told; None before the first."""
        query = select(GenerationRow).where(GenerationRow.experiment_id == experiment_id)
        row = self.session.scalar(query.order_by(GenerationRow.settled.desc()).limit(1))
        return None if row is None else summary_of(row)

    def course(self, experiment_id: UUID, *, most: int) -> list[tuple[int, int, float, float | None]]:
        """Returns generation, candidates told, hypervolume and best value, in order.

        Of more than `most` generations evenly spread ones are taken, the last always.
        """
        wanted = (
            GenerationRow.generation,
            GenerationRow.settled,
            GenerationRow.hypervolume,
            GenerationRow.best,
        )
        mine = GenerationRow.experiment_id == experiment_id
        count = self.session.scalar(select(func.count()).select_from(GenerationRow).where(mine)) or 0
        place = func.row_number().over(order_by=GenerationRow.settled.desc()).label("place")
        numbered = select(*wanted, place).where(mine).subquery()
        query = select(*[numbered.c[column.key] for column in wanted])
        query = query.where((numbered.c.place - 1) % max(-(-count // most), 1) == 0)
        return [tuple(row) for row in self.session.execute(query.order_by(numbered.c.settled))]

    def examination_cost(self, experiment_id: UUID) -> tuple[int, int, float]:
        """Returns how many steps an examination has taken, of how many items and seconds."""
        row = ExaminationStepRow
        query = select(func.count(), func.sum(row.items), func.sum(row.seconds))
        steps, items, seconds = self.session.execute(query.where(row.experiment_id == experiment_id)).one()
        return steps, items or 0, seconds or 0.0

    def forget_examination_steps(self, experiment_id: UUID) -> None:
        """Has the next examination begin with its whole budget; scores stay."""
        self.session.execute(
            delete(ExaminationStepRow).where(ExaminationStepRow.experiment_id == experiment_id)
        )

    def recently_settled(self, experiment_id: UUID, *, after: int) -> list[datetime]:
        """Returns when the candidates with higher numbers ended, as far as they have."""
        query = select(CandidateRow.settled_at).where(
            CandidateRow.experiment_id == experiment_id,
            CandidateRow.number > after,
            CandidateRow.settled_at.is_not(None),
        )
        return [moment for moment in self.session.scalars(query) if moment is not None]

    def add_generation(self, experiment_id: UUID, summary: GenerationSummary, seconds: float) -> None:
        """Notes where the search stands after a generation, as a row and as an event."""
        payload = self.put_generation(experiment_id, summary, seconds)
        self.add_event(experiment_id, "generation.told", payload)

    def put_generation(self, experiment_id: UUID, summary: GenerationSummary, seconds: float) -> Json:
        """Notes where the search stands after a generation; returns what its event tells."""
        content = asdict(summary) | {"front": list(summary.front)}
        del content["reference"]  # the experiment's own: it never changes
        self.session.merge(GenerationRow(experiment_id=experiment_id, seconds=seconds, **content))
        known = {name: value for name, value in content.items() if name != "estimator" or value is not None}
        return known | {"seconds": seconds}

    def events(
        self, *, experiment_id: UUID | None = None, after: int = 0, limit: int = 500
    ) -> list[EventRow]:
        """Returns events in order, of one experiment or of all."""
        query = select(EventRow).where(EventRow.id > after).order_by(EventRow.id).limit(limit)
        if experiment_id is not None:
            query = query.where(EventRow.experiment_id == experiment_id)
        return list(self.session.scalars(query))

    def last_event(self) -> int:
        """Returns the newest event's id, 0 when nothing ever happened."""
        return self.session.scalar(select(func.max(EventRow.id))) or 0

    def last_events(self, experiments: Collection[UUID]) -> dict[UUID, int]:
        """Returns the newest event's id of each of these experiments that has any."""
        found = {}
        for key in experiments:
            newest = self.session.scalar(select(func.max(EventRow.id)).where(EventRow.experiment_id == key))
            if newest is not None:
                found[key] = newest
        return found

    def add_event(self, experiment_id: UUID | None, kind: str, payload: Json) -> None:
        """Notes that something happened.

        Call it last in a transaction: it makes other writers of the same experiment wait.
        """
        self.add_events(experiment_id, [(kind, payload)])

    def add_events(self, experiment_id: UUID | None, events: Sequence[tuple[str, Json]]) -> None:
        """Notes what happened, each by its kind and payload, in this order; call it as `add_event`."""
        self.session.flush()
        if self.session.get_bind().dialect.name == "postgresql":
            # An experiment's numbers are drawn in the order of commits, so that a reader who asks for "all
            # after n" never misses one that was drawn earlier and committed later.
            lock = 0 if experiment_id is None else experiment_id.int & _MOST_LOCK
            self.session.execute(select(func.pg_advisory_xact_lock(lock)))
        rows = [
            {"experiment_id": experiment_id, "kind": kind, "payload": payload} for kind, payload in events
        ]
        self.session.execute(insert(EventRow.__table__), rows)  # type: ignore[arg-type]

    def create_export(
        self, experiment_id: UUID, candidate_number: int, target: str, options: Json
    ) -> ExportRow:
        """Adds an export to the queue."""
        row = ExportRow(
            experiment_id=experiment_id, candidate_number=candidate_number, target=target, options=options
        )
        self.session.add(row)
        self.session.flush()
        self.note_export(row)
        return row

    def export(self, key: UUID | str) -> ExportRow:
        """Returns the export with this id.

        Raises:
            NotFoundError: There is none.
        """
        found = _as_uuid(key)
        row = None if found is None else self.session.get(ExportRow, found)
        if row is None:
            raise NotFoundError("export", key)
        return row

    def exports(
        self, experiment_id: UUID | None = None, *, limit: int, before: ExportRow | UUID | None = None
    ) -> list[ExportRow]:
        """Returns exports of experiments that are not deleted, newest first; `before` begins after a page."""
        kept = select(ExperimentRow.id).where(ExperimentRow.deleted_at.is_(None))
        query = select(ExportRow).where(ExportRow.experiment_id.in_(kept))
        query = query.order_by(ExportRow.id.desc()).limit(limit)
        if experiment_id is not None:
            query = query.where(ExportRow.experiment_id == experiment_id)
        if before is not None:
            query = query.where(ExportRow.id < (before if isinstance(before, UUID) else before.id))
        return list(self.session.scalars(query))

    def cancel_export(self, row: ExportRow) -> None:
        """Ends an export that waits; one that is under way is ended by its controller.

        Raises:
            IllegalTransitionError: It has ended already.
        """
        self.session.refresh(row, with_for_update=True)
        if row.status in ("cancelling", "cancelled"):
            return
        if row.status == "queued":
            self.end_export(row, "cancelled")
            return
        if row.status != "running":
            raise IllegalTransitionError(f"export {row.id}", row.status, "cancelled")
        row.status = "cancelling"
        self.note_export(row)

    def end_export(self, row: ExportRow, status: str, **result: Any) -> None:  # noqa: ANN401 - any column
        """Notes how an export ended: `folder`, `url`, `bytes`, `digest` or `failure`."""
        row.status, row.ended_at, row.lease_owner, row.lease_until = status, now(), None, None
        for column, value in result.items():
            setattr(row, column, value)
        self.note_export(row)

    def note_export(self, row: ExportRow) -> None:
        """Notes an export's status as an event."""
        payload = {"export": str(row.id), "candidate": row.candidate_number, "status": row.status}
        self.add_event(row.experiment_id, "export.status", payload)

    def overview(self) -> Overview:
        """Counts experiments and exports, and says who has the workers."""
        experiments = select(ExperimentRow.status, func.count()).where(ExperimentRow.deleted_at.is_(None))
        experiments = experiments.group_by(ExperimentRow.status)
        exports = select(ExportRow.status, func.count()).group_by(ExportRow.status)
        workers = select(ExperimentRow.name, func.coalesce(ExperimentRow.workers, 0)).where(
            ExperimentRow.lease_until > DatabaseClock()
        )
        return Overview(
            {name: count for name, count in self.session.execute(experiments)},  # noqa: C416
            {name: count for name, count in self.session.execute(exports)},  # noqa: C416
            {name: count for name, count in self.session.execute(workers)},  # noqa: C416
        )

    def answer_given(self, key: str) -> IdempotencyKeyRow | None:
        """Returns the answer that was given to an earlier request with this key."""
        row = self.session.get(IdempotencyKeyRow, key)
        return row if row is not None and row.created_at > now() - IDEMPOTENCY_TIME else None

    def remember_answer(self, key: str, *, digest: str, status: int, body: Json) -> None:
        """Remembers the answer to a request in the transaction that carried it out.

        Raises:
            ConflictError: The same request is being carried out at this moment.
        """
        old = IdempotencyKeyRow.created_at <= now() - IDEMPOTENCY_TIME
        self.session.execute(delete(IdempotencyKeyRow).where(old))
        try:
            with self.session.begin_nested():
                self.session.add(IdempotencyKeyRow(key=key, digest=digest, status=status, body=body))
        except IntegrityError as error:
            raise ConflictError("the same request is under way", "wait for its answer") from error


def _with_scores(experiment_id: UUID) -> Select[CandidateRow]:
    scores = selectinload(CandidateRow.evaluations)
    of_items = (EvaluationRow.per_item, EvaluationRow.margins)
    deferred = [defer(each, raiseload=True) for each in of_items]
    without_items: Sequence[Any] = [scores, scores.options(*deferred)]
    return select(CandidateRow).where(CandidateRow.experiment_id == experiment_id).options(*without_items)


def _as_uuid(key: str | UUID) -> UUID | None:
    if isinstance(key, UUID):
        return key
    try:
        return UUID(key)
    except ValueError:
        return None
