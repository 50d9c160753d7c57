"""The tables.  One model for SQLite and Postgres: generic types only, no lazy loading.

`migrations/` brings a database to this state; a test keeps the two equal.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from service.experiment.candidate import CandidateKind, CandidateStatus
from service.experiment.status import ExperimentStatus
from service.store.types import UtcDateTime, names_of, new_id, now

Json = dict[str, Any]


class Base(DeclarativeBase):
    """What all tables share: how constraints are named, and which column a Python type becomes."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as it is
        Json: JSON(none_as_null=True),
        list[float]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        datetime: UtcDateTime,
        float: Double,
        UUID: Uuid,
        bytes: LargeBinary,
        ExperimentStatus: names_of(ExperimentStatus),
        CandidateKind: names_of(CandidateKind),
        CandidateStatus: names_of(CandidateStatus),
    }


class ExperimentRow(Base):
    """An experiment, and which controller runs it.

    Attributes:
        spec: `ExperimentSpec.model_dump(mode="json")`, with absolute local paths.
        facts: `service.specification.planning.ExperimentFacts`: what the check found out about parents and
            benchmarks.
        winner: `{"number": int, "optimism": {objective: float}, "examination": {...}}` after the
            examination; the last is `service.experiment.findings.ExaminationFindings`.
        test_opened_at: When the sealed test split was read, which happens once.
        failure: `{"code", "cause", "remedy"}` of a failed experiment.
        reference: Of the hypervolume: the worst fitness among the baselines, per objective (larger
            is better, so the negated score where smaller scores are better).
        search_seconds: Time spent searching, over all resumes.
        lease_until: Seconds since 1970 by the database's clock.
        epoch: Fencing token: grows whenever another controller takes the experiment over.
        workers: How many it had when its lease was last renewed; None while no controller runs it.
        deleted_at: Since when it waits to be removed; meanwhile its name is free for others.
    """

    __tablename__ = "experiments"
    __table_args__ = (Index(None, "status", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    status: Mapped[ExperimentStatus] = mapped_column(default=ExperimentStatus.QUEUED)
    reason: Mapped[str | None] = mapped_column(Text)
    spec: Mapped[Json]
    facts: Mapped[Json]
    winner: Mapped[Json | None]
    failure: Mapped[Json | None]
    reference: Mapped[list[float] | None]
    search_seconds: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    test_opened_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None] = mapped_column(String(200))
    lease_until: Mapped[float | None]
    epoch: Mapped[int] = mapped_column(Integer, default=0)
    workers: Mapped[int | None] = mapped_column(Integer)
    tags: Mapped[list[Any] | None]
    starred: Mapped[bool] = mapped_column(default=False, server_default=false())
    deleted_at: Mapped[datetime | None]


class CandidateRow(Base):
    """A candidate of an experiment.

    Attributes:
        genome: One JSON value per gene; None for a baseline that the space cannot express.
        recipe: The recipe's canonical JSON; None where the genome is infeasible.
        told: Its place in the order in which the optimizer was told of candidates.
        failure: `{"code", "cause", "remedy", "excerpt"}` of a failed candidate.
        seconds: What it cost, by where the time went: ask, merge, evaluate, dispatch, store, tell;
            and `worked`, that workers were at it.
        operator, ancestors: What the optimizer made it with, and of which candidates (by number).
        asked_after: How many candidates had been told when it was asked for; None in old rows.
        measures: One number per measure of the experiment; None before it was told, or without any.
        violation: By how much it breaks the constraints; 0 keeps them all.
        model_key: Names the model by its recipe and the parents' weights, so that its scores can be
            used again; None where the parents could not be hashed.
        again: In which later generations it was asked further items, as `[generation, answered,
            seconds]`; None where it never was.
    """

    __tablename__ = "candidates"
    __table_args__ = (
        UniqueConstraint("experiment_id", "number"),
        UniqueConstraint("experiment_id", "told"),
        Index(None, "experiment_id", "status"),
        Index(None, "model_key"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    experiment_id: Mapped[UUID] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    generation: Mapped[int] = mapped_column(Integer)
    kind: Mapped[CandidateKind]
    label: Mapped[str | None] = mapped_column(Text)
    genome: Mapped[list[Any] | None]
    recipe: Mapped[Json | None]
    digest: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[CandidateStatus]
    infeasible_reason: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    told: Mapped[int | None] = mapped_column(Integer)
    failure: Mapped[Json | None]
    worker: Mapped[str | None] = mapped_column(Text)
    seconds: Mapped[Json] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)
    settled_at: Mapped[datetime | None]
    operator: Mapped[str | None] = mapped_column(Text)
    ancestors: Mapped[list[Any] | None]
    asked_after: Mapped[int | None] = mapped_column(Integer)
    measures: Mapped[list[Any] | None]
    violation: Mapped[float | None]
    model_key: Mapped[str | None] = mapped_column(String(64))
    again: Mapped[list[Any] | None]

    evaluations: Mapped[list[EvaluationRow]] = relationship(
        lazy="raise", order_by="(EvaluationRow.split, EvaluationRow.position)", passive_deletes="all"
    )


class EnqueuedRow(Base):
    """A recipe that a person put into an experiment's queue.

    Attributes:
        id: Of the candidate that it becomes; while there is none, it waits.
        recipe: Its canonical JSON.
        made_by: A `service.experiment.enqueued.EnqueuedBy`.
        ancestor: The candidate that it repeats, by number.
    """

    __tablename__ = "enqueued_recipes"
    __table_args__ = (Index(None, "experiment_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    experiment_id: Mapped[UUID] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    recipe: Mapped[Json]
    label: Mapped[str | None] = mapped_column(Text)
    made_by: Mapped[str] = mapped_column(String(20))
    ancestor: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(default=now)


class AttemptRow(Base):
    """That something was handed to a worker, written before it was.

    Attributes:
        assignment: The candidate's id, or what names it in a later generation or under other conditions;
            the experiment's id (and -1 as number) while its workers got ready.
        split: Of an assignment; `preparation` while workers got ready.
        attempt: Counts within one controller's life.
        owner: The controller that handed it out.
        in_process: The worker shares the controller's process: its crash is the controller's.
        ending: `answered`, `dropped` (the controller stepped back), `crashed` (it died) or `told` (it died,
            which is counted no more); None while out.
    """

    __tablename__ = "attempts"
    __table_args__ = (Index(None, "experiment_id", "ending"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    experiment_id: Mapped[UUID] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    assignment: Mapped[UUID]
    number: Mapped[int] = mapped_column(Integer)
    split: Mapped[str] = mapped_column(String(20))
    attempt: Mapped[int] = mapped_column(Integer)
    owner: Mapped[str] = mapped_column(String(200))
    in_process: Mapped[bool]
    started_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]
    ending: Mapped[str | None] = mapped_column(String(20))


class EvaluationRow(Base):
    """A candidate's score on one split of one benchmark.

    Attributes:
        position: The benchmark's place among the objectives.
        items: How many items were asked.
        per_item: The metric on each item, packed (see `service.store.rows`).
        item_set: Fingerprint of what was asked; None where it is not known.
        value, stderr: Over the items asked; where those were a part, an estimate for all of them.
        item_indices: Which items of the split were asked, packed; None where all were.
        notes: What happened while asking, as counts of items by name; None where nothing did.
        margins: Each item's margin, packed; None where they are not known.
    """

    __tablename__ = "evaluations"

    candidate_id: Mapped[UUID] = mapped_column(
        ForeignKey("candidates.id", ondelete="CASCADE"), primary_key=True
    )
    split: Mapped[str] = mapped_column(String(20), primary_key=True)
    benchmark: Mapped[str] = mapped_column(String(200), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    metric: Mapped[str] = mapped_column(Text)
    value: Mapped[float]
    stderr: Mapped[float]
    higher_is_better: Mapped[bool]
    items: Mapped[int] = mapped_column(Integer)
    per_item: Mapped[bytes]
    item_set: Mapped[str | None] = mapped_column("sheet", Text)
    item_indices: Mapped[bytes | None] = mapped_column("places")
    notes: Mapped[Json | None]
    margins: Mapped[bytes | None]


class SampleRow(Base):
    """What a candidate answered to some items of a benchmark, when a person asked to see it.

    Attributes:
        answers: `evaluators.task_facts.ShownAnswer`, one per item.
    """

    __tablename__ = "sample_answers"

    candidate_id: Mapped[UUID] = mapped_column(
        ForeignKey("candidates.id", ondelete="CASCADE"), primary_key=True
    )
    split: Mapped[str] = mapped_column(String(20), primary_key=True)
    benchmark: Mapped[str] = mapped_column(String(200), primary_key=True)
    answers: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)


class GenerationRow(Base):
    """Where a search stood after a generation was told.

    Attributes:
        settled: How many candidates had been told.
        best, best_number: Highest weighted mean of the objectives so far, and whose it is.
        hypervolume, front: Of the front on the search split, and the numbers of its candidates.
        estimator: `service.search.fidelity.estimator_check.EstimatorFinding`; None where every candidate
            is asked all items.
        seconds: Time spent searching until then, over all resumes.
    """

    __tablename__ = "generations"

    experiment_id: Mapped[UUID] = mapped_column(
        ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True
    )
    settled: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    generation: Mapped[int] = mapped_column(Integer)
    best: Mapped[float | None]
    best_number: Mapped[int | None] = mapped_column(Integer)
    hypervolume: Mapped[float]
    front: Mapped[list[Any]]
    estimator: Mapped[Json | None]
    seconds: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=now)


class OpeningRow(Base):
    """That a sealed split was read, and for which candidates; an extended experiment has several."""

    __tablename__ = "openings"
    __table_args__ = (Index(None, "experiment_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    experiment_id: Mapped[UUID] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    split: Mapped[str] = mapped_column(String(20))
    numbers: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)


class SensitivityRow(Base):
    """What other conditions did to a winner's scores on the selection split.

    Attributes:
        conditions: Their name: `evaluators.conditions.Conditions` as a text.
        findings: `service.experiment.findings.SensitivityFinding`, one per objective.
    """

    __tablename__ = "sensitivities"

    experiment_id: Mapped[UUID] = mapped_column(
        ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    conditions: Mapped[str] = mapped_column(String(200), primary_key=True)
    findings: Mapped[list[Any]]


class ExaminationStepRow(Base):
    """That an examination asked one model one split, and what it took.

    Attributes:
        conditions: Their name, as a sensitivity's; "" for the standard ones.
        items: How many were asked, over all objectives.
        seconds: Since the step before, or since the controller began.
        failure: Why it has no scores, as a candidate's; None where it has.
    """

    __tablename__ = "examination_steps"

    experiment_id: Mapped[UUID] = mapped_column(
        ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    split: Mapped[str] = mapped_column(String(20), primary_key=True)
    conditions: Mapped[str] = mapped_column(String(200), primary_key=True)
    items: Mapped[int] = mapped_column(Integer)
    seconds: Mapped[float]
    failure: Mapped[Json | None]


class EventRow(Base):
    """Something that happened, for those who follow live: nothing reads its own past from here.

    An experiment's ids grow in the order in which its events became visible.
    """

    __tablename__ = "events"
    __table_args__ = (Index(None, "experiment_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    experiment_id: Mapped[UUID | None] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(50))
    payload: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(default=now)


class ExportRow(Base):
    """A checkpoint to be written, or written.

    Attributes:
        status: `queued`, `running`, `cancelling`, `succeeded`, `failed` or `cancelled`.
        options: `private`, `replace`, `verify` and `even_a_parent`, as they were asked for; and, once it is
            written, `notes` and `verified`.
        lease_until: Until when the controller that writes it is trusted to be alive.
    """

    __tablename__ = "exports"
    __table_args__ = (Index(None, "experiment_id", "id"), Index(None, "status", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    experiment_id: Mapped[UUID] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    candidate_number: Mapped[int] = mapped_column(Integer)
    target: Mapped[str] = mapped_column(Text)
    options: Mapped[Json] = mapped_column(default=dict)
    status: Mapped[str] = mapped_column(String(20), default="queued")
    folder: Mapped[str | None] = mapped_column(Text)
    url: Mapped[str | None] = mapped_column(Text)
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    digest: Mapped[str | None] = mapped_column(String(128))
    failure: Mapped[Json | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None] = mapped_column(String(200))
    lease_until: Mapped[float | None]


class HashedFileRow(Base):
    """A parent's file whose content was hashed; it is hashed again when size or time differ.

    Attributes:
        modified: Nanoseconds since 1970.
    """

    __tablename__ = "hashed_files"

    path: Mapped[str] = mapped_column(String(4096), primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    modified: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))


class IdempotencyKeyRow(Base):
    """An answer that was given to a request with an `Idempotency-Key`.

    Attributes:
        key: The client's key, with the route it was sent to.
        digest: Of the request's body: the same key with another body is a mistake.
    """

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(String(300), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(Integer)
    body: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(default=now)


class ApiKeyRow(Base):
    """A key with a role.

    Attributes:
        role: A `service.store.access.role.Role`.
        digest: SHA-256 of the key, which itself is stored nowhere.
        beginning: The key's first characters, to tell it from others.
        last_used_at: To the minute.
    """

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    beginning: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class AuditRow(Base):
    """A request that may have changed something.

    Attributes:
        key: The name of the key that it bore.
        status: How it was answered.
        address: Where it came from.
    """

    __tablename__ = "audit"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    key: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(20))
    method: Mapped[str] = mapped_column(String(10))
    path: Mapped[str] = mapped_column(Text)
    status: Mapped[int] = mapped_column(Integer)
    address: Mapped[str] = mapped_column(String(100))
    request_id: Mapped[str] = mapped_column(String(40))
