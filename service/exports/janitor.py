"""Janitor: deletes what exports left unfinished that no one goes on with, every hour."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import structlog
from sqlalchemy import select

from service.background.polling_thread import PollingThread
from service.settings import Settings
from service.store.database import Database
from service.store.models import ExportRow
from workers.checkpoints.writing.leftovers import dispose_of_abandoned

HOUR = 3600.0  # seconds between two rounds
GLANCE = 30.0

logger = structlog.get_logger(__name__)


class Janitor(PollingThread):
    """A thread that looks into all folders that exports were written to."""

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__("evomerge-janitor", pause=GLANCE)
        self.database, self.settings = database, settings
        self._next = float("-inf")

    def run_next(self) -> bool:
        """Does a round, if it is time for one; there is never more to do at once."""
        if monotonic() >= self._next:
            for folder in sorted(self._folders()):
                for path in dispose_of_abandoned(folder):
                    logger.info("leftover_deleted", path=str(path))
            self._next = monotonic() + HOUR
        return False

    def _folders(self) -> set[Path]:
        """Returns the folders that checkpoints lie in."""
        with self.database.reading() as session:
            written = session.scalars(
                select(ExportRow.folder).where(ExportRow.folder.is_not(None)).distinct()
            )
            return {self.settings.exports, *(Path(str(folder)).parent for folder in written)}
