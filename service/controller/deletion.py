"""Experiments are deleted, brought back, and removed for good after some weeks.

A deleted experiment keeps all its rows.  Its name is free for others: it has another one in the table, and
keeps its own in the spec.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete as delete_rows
from sqlalchemy import select

from service.controller.requests import cancel
from service.errors import ConflictError, NotFoundError
from service.experiment.status import UNDER_WAY
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.store.types import now

KEPT = timedelta(days=30)  # for which a deleted experiment can be brought back


def delete(repository: Repository, experiment: ExperimentRow, *, force: bool = False) -> None:
    """Has an experiment disappear with all that was found out; it can be brought back for 30 days.

    Checkpoints that were exported stay, in any case.

    Args:
        repository: Whose transaction it happens in.
        experiment: Which one.
        force: Cancel it first where it is under way.

    Raises:
        ConflictError: It is under way, or one of its candidates is being exported.
    """
    repository.lock(experiment)
    name = experiment.name
    if experiment.status in UNDER_WAY:
        if not force:
            detail = f"experiment {name} is {experiment.status.words}"
            raise ConflictError(detail, f"cancel it first (`evomerge cancel {name}`), or wait for its end")
        cancel(repository, experiment)
    if repository.is_exported(experiment.id):
        raise ConflictError(f"a candidate of {name} is being exported", "wait until it is written")
    experiment.deleted_at = now()
    experiment.name = f"{name[:150]} (deleted {experiment.id.hex})"
    experiment.spec = {**experiment.spec, "name": name}
    repository.add_event(experiment.id, "experiment.deleted", {"id": str(experiment.id), "name": name})
    _remove_old(repository)


def undelete(repository: Repository, key: str) -> ExperimentRow:
    """Brings an experiment back; of several that had the name, the one that was deleted last.

    Raises:
        NotFoundError: None of this name or id was deleted, or it was removed since.
        NameTakenError: Another experiment has its name now.
    """
    row = repository.any_experiment(key)
    if row is None or row.deleted_at is None:
        had_the_name = ExperimentRow.spec["name"].as_string() == key
        query = select(ExperimentRow).where(had_the_name, ExperimentRow.deleted_at.is_not(None))
        row = repository.session.scalar(query.order_by(ExperimentRow.deleted_at.desc()).limit(1))
    if row is None:
        raise NotFoundError("deleted experiment", key)
    repository.lock(row)
    row.deleted_at = None
    repository.rename(row, row.spec["name"])
    repository.add_event(row.id, "experiment.undeleted", {"id": str(row.id), "name": row.name})
    return row


def remove(repository: Repository, experiment: ExperimentRow) -> None:
    """Removes an experiment and all rows that belong to it; nothing brings it back.

    Raises:
        ConflictError: It is under way, or one of its candidates is being exported.
    """
    if experiment.deleted_at is None:
        delete(repository, experiment)
    if experiment.status in UNDER_WAY:
        raise ConflictError(f"experiment {experiment.name} is {experiment.status.words}", "wait for its end")
    key, name = experiment.id, experiment.spec["name"]
    repository.session.expunge(experiment)
    repository.session.execute(delete_rows(ExperimentRow).where(ExperimentRow.id == key))
    repository.add_event(None, "experiment.removed", {"id": str(key), "name": name})


def _remove_old(repository: Repository) -> None:
    """Removes what was deleted long ago."""
    old = (ExperimentRow.deleted_at < now() - KEPT, ExperimentRow.status.not_in(UNDER_WAY))
    repository.session.execute(delete_rows(ExperimentRow).where(*old))
