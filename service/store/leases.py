"""Leases: which controller runs an experiment or writes an export, by the database's clock alone.

A lease on an experiment carries a fencing token, its `epoch`: taking the experiment over
raises it, and every write of the former holder is refused from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from service.errors import LeaseLostError
from service.experiment.status import UNDER_WAY
from service.store.clock import DatabaseClock
from service.store.models import ExperimentRow, ExportRow

NOTHING: Mapping[str, object] = {}
_EXPORT_LOCK = 0x65767870  # any number that no one else locks


def acquire_lease(session: Session, experiment_id: UUID, owner: str, *, seconds: float) -> int | None:
    """Takes an experiment that no controller holds; returns the new epoch, or None where one does."""
    statement = (
        update(ExperimentRow)
        .where(ExperimentRow.id == experiment_id, _is_free(ExperimentRow, owner))
        .values(lease_owner=owner, lease_until=DatabaseClock() + seconds, epoch=ExperimentRow.epoch + 1)
        .returning(ExperimentRow.epoch)
    )
    return session.scalar(statement, execution_options={"synchronize_session": False})


def renew_lease(
    session: Session, experiment_id: UUID, epoch: int, *, seconds: float, workers: int | None = None
) -> None:
    """Keeps an experiment for some seconds more, and notes how many workers it has.

    Raises:
        LeaseLostError: Another controller took it over.
    """
    noted = {"workers": workers}
    _renew(session, ExperimentRow, experiment_id, ExperimentRow.epoch == epoch, seconds, noted)


def release_lease(session: Session, experiment_id: UUID, epoch: int) -> None:
    """Lets an experiment go, if it is still held, so that others need not wait for the lease's end."""
    session.execute(
        update(ExperimentRow)
        .where(ExperimentRow.id == experiment_id, ExperimentRow.epoch == epoch)
        .values(lease_owner=None, lease_until=None, workers=None),
        execution_options={"synchronize_session": False},
    )


def prove_lease(session: Session, experiment_id: UUID, epoch: int) -> None:
    """Makes sure that this transaction may write to the experiment, and that it stays so to its end.

    Raises:
        LeaseLostError: Another controller took it over.
    """
    query = select(ExperimentRow.id).where(ExperimentRow.id == experiment_id, ExperimentRow.epoch == epoch)
    if session.scalar(query.with_for_update()) is None:
        raise LeaseLostError(experiment_id)


def next_experiment(session: Session, owner: str) -> ExperimentRow | None:
    """Returns the experiment of highest priority, or else the oldest, that no controller has."""
    priority = func.coalesce(ExperimentRow.spec["priority"].as_float(), 1.0)
    return session.scalar(
        select(ExperimentRow)
        .where(ExperimentRow.status.in_(UNDER_WAY), _is_free(ExperimentRow, owner))
        .order_by(priority.desc(), ExperimentRow.id)
        .limit(1)
    )


def claim_export(session: Session, owner: str, *, seconds: float) -> ExportRow | None:
    """Takes the oldest export that waits, or whose controller fell silent; None when there is none.

    Two that write the same folder are carried out one after the other.
    """
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer anyway
        session.execute(select(func.pg_advisory_xact_lock(_EXPORT_LOCK)))
    other = aliased(ExportRow)
    same_folder = or_(
        other.target == ExportRow.target,
        and_(
            other.experiment_id == ExportRow.experiment_id,
            other.candidate_number == ExportRow.candidate_number,
        ),
    )
    under_way = exists().where(
        other.id != ExportRow.id, same_folder, other.status != "queued", other.lease_until > DatabaseClock()
    )
    waiting = (
        select(ExportRow)
        .where(
            ExportRow.status.in_(("queued", "running", "cancelling")), _is_free(ExportRow, owner), ~under_way
        )
        .order_by(ExportRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = session.scalar(waiting)
    if row is not None:
        row.lease_owner = owner
        if row.status == "queued":
            row.status = "running"
        renew_export(session, row.id, owner, seconds=seconds)
    return row


def renew_export(session: Session, export_id: UUID, owner: str, *, seconds: float) -> None:
    """Keeps an export for some seconds more.

    Raises:
        LeaseLostError: Another controller took it over.
    """
    session.flush()
    _renew(session, ExportRow, export_id, ExportRow.lease_owner == owner, seconds)


def _renew(
    session: Session,
    table: type[ExperimentRow | ExportRow],
    row_id: UUID,
    is_held: ColumnElement[bool],
    seconds: float,
    noted: Mapping[str, object] = NOTHING,
) -> None:
    statement = (
        update(table)
        .where(table.id == row_id, is_held)
        .values(lease_until=DatabaseClock() + seconds, **noted)
        .returning(table.id)
    )
    if session.scalar(statement, execution_options={"synchronize_session": False}) is None:
        raise LeaseLostError(row_id)


def release_export(session: Session, export_id: UUID, owner: str) -> None:
    """Lets an export go, if it is still held: another controller begins it again at once."""
    session.execute(
        update(ExportRow)
        .where(ExportRow.id == export_id, ExportRow.lease_owner == owner)
        .values(lease_owner=None, lease_until=None),
        execution_options={"synchronize_session": False},
    )


def _is_free(table: type[ExperimentRow | ExportRow], owner: str) -> ColumnElement[bool]:
    return or_(
        table.lease_owner.is_(None),
        table.lease_until.is_(None),
        table.lease_until < DatabaseClock(),
        table.lease_owner == owner,
    )
