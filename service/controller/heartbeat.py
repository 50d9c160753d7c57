"""Heartbeat: keeps a lease while its holder is busy with something long."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.errors import LeaseLostError
from service.store.database import Database
from service.store.leases import release_lease, renew_lease

logger = structlog.get_logger()


class Heartbeat:
    """Renews a lease on its own thread, three times per period, and releases it at the end.

    It tells nobody that a lease was lost: the holder's next write is refused, and that is enough.
    """

    def __init__(self, database: Database, experiment_id: UUID, epoch: int, *, seconds: float) -> None:
        self.database, self.experiment_id, self.epoch, self.seconds = database, experiment_id, epoch, seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="evomerge-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        try:
            with self.database.session() as session:
                release_lease(session, self.experiment_id, self.epoch)
        except SQLAlchemyError as problem:  # it ends by itself then
            logger.warning("lease_not_released", experiment=str(self.experiment_id), problem=str(problem))

    def _beat(self) -> None:
        while not self._over.wait(self.seconds / 3):
            try:
                with self.database.session() as session:
                    renew_lease(session, self.experiment_id, self.epoch, seconds=self.seconds)
            except LeaseLostError:
                logger.warning("lease_lost", experiment=str(self.experiment_id))
                return
            except SQLAlchemyError as problem:  # the database may come back before the lease ends
                logger.warning("lease_not_renewed", experiment=str(self.experiment_id), problem=str(problem))
