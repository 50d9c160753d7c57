"""Free space: an experiment pauses before the disk is full, says so, and goes on when there is room again."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from service.experiment.status import ExperimentStatus
from service.settings import Settings
from service.store.models import ExperimentRow
from service.store.repository import Repository

NO_SPACE = "no space left"
DISK_FULL = f"{NO_SPACE}: the database's disk is full; make room, and it goes on by itself"
_POSTGRES_DISK_FULL = "53100"
_ENOUGH = 1.1  # times the floor, before what was paused goes on: else it would come and go


def lack_of_space(settings: Settings, *, times: float = 1.0) -> str | None:
    """Returns why there is too little space to go on, as people read it; None where there is enough."""
    floor = settings.fewest_bytes_free * times
    for folder in _folders(settings):
        free = shutil.disk_usage(folder).free
        if free < floor:
            return (
                f"{NO_SPACE}: {free / 1e6:.0f} MB are free at {folder}, fewer than {floor / 1e6:.0f}; "
                "make room, and it goes on by itself"
            )
    return None


def _folders(settings: Settings) -> Iterator[Path]:
    """Yields where this controller writes: its home, and the folder of an SQLite file."""
    url = make_url(settings.database)
    places = [settings.home]
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        places.append(Path(url.database).parent)
    for place in {place.absolute() for place in places}:
        yield next(folder for folder in (place, *place.parents) if folder.is_dir())


def is_disk_full(error: BaseException) -> bool:
    """Says whether an error means that a disk is full: the database's, or this machine's."""
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return True
        if getattr(cause, "sqlstate", None) == _POSTGRES_DISK_FULL:
            return True
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        cause = getattr(cause, "orig", None) or cause.__cause__
    return False


def resume_where_there_is_space(session: Session, settings: Settings) -> None:
    """Puts experiments back into the queue that were paused for want of space, once there is some."""
    query = select(ExperimentRow).where(
        ExperimentRow.deleted_at.is_(None),
        ExperimentRow.status == ExperimentStatus.PAUSED,
        ExperimentRow.reason.startswith(NO_SPACE),
    )
    rows = session.scalars(query).all()
    if rows and lack_of_space(settings, times=_ENOUGH) is None:
        for row in rows:
            Repository(session).move(row, ExperimentStatus.QUEUED, reason="there is space again")
