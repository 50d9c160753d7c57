"""Runner: takes experiments, one after the other, and drives each for as long as it goes.

What driving means is in `service.controller.experiment_run`, the search itself in `service.search.loop`.
"""

from __future__ import annotations

import os
import socket
import threading
from uuid import UUID, uuid4

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from service.controller.experiment_run import ExperimentRun, failure_of
from service.controller.heartbeat import Heartbeat
from service.errors import LeaseLostError
from service.experiment.status import ExperimentStatus
from service.settings import Settings
from service.store.database import Database
from service.store.journal import DatabaseJournal
from service.store.leases import acquire_lease, next_experiment
from service.store.repository import Repository
from workers.protocol.messages import Workforce

IDLE_SECONDS = 0.5  # between two looks for something to do
_S = ExperimentStatus

logger = structlog.get_logger()


class Runner:
    """A thread that drives the oldest experiment that nobody drives.

    Several controllers may run at once: a lease keeps them from driving the same experiment.
    """

    def __init__(self, database: Database, workforce: Workforce, settings: Settings) -> None:
        self.database, self.workforce, self.settings = database, workforce, settings
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._stopping, self._something_to_do = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._serve, name="evomerge-runner", daemon=True)

    def start(self) -> None:
        """Begins to look for experiments."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Steps back from the experiment at hand, which the next controller goes on with at once."""
        self._stopping.set()
        self.wake()
        if self.is_alive:
            self._thread.join(timeout)

    def wake(self) -> None:
        """Has it look for something to do now."""
        self._something_to_do.set()

    @property
    def is_alive(self) -> bool:
        """Says whether experiments are driven."""
        return self._thread.is_alive()

    def run_next(self) -> bool:
        """Drives the oldest experiment that needs it for as long as it goes; False where there is none."""
        claimed = self._claim()
        if claimed is None:
            return False
        key, epoch = claimed
        with Heartbeat(self.database, key, epoch, seconds=self.settings.lease_seconds):
            self._run_safely(key, epoch)
        return True

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._something_to_do.clear()
            try:
                busy = self.run_next()
            except Exception:
                logger.exception("runner_failed")
                busy = False
            if not busy:
                self._something_to_do.wait(IDLE_SECONDS)

    def _claim(self) -> tuple[UUID, int] | None:
        """Takes the lease; a queued experiment runs from the same moment on."""
        with self.database.session() as session:
            row = next_experiment(session, self.owner)
            if row is None:
                return None
            epoch = acquire_lease(session, row.id, self.owner, seconds=self.settings.lease_seconds)
            if epoch is None:  # another controller was faster
                return None
            session.refresh(row)
            if row.status is _S.QUEUED:
                Repository(session).move(row, _S.RUNNING)
            return row.id, epoch

    def _run_safely(self, key: UUID, epoch: int) -> None:
        """Drives an experiment; whatever goes wrong ends in a sentence that people can read."""
        log = logger.bind(experiment=str(key))
        journal = DatabaseJournal(self.database, key, epoch, stopping=self._stopping.is_set)
        drive = ExperimentRun(journal, self.workforce, self.settings)
        try:
            try:
                drive.run()
            except (LeaseLostError, OperationalError, InterfaceError):
                raise  # the database is away: when it is back, whoever gets the lease goes on
            except Exception as error:
                failure = failure_of(error)
                log.exception("experiment_failed", code=failure.code)
                drive.end(_S.FAILED, failure=failure)
        except LeaseLostError:
            log.warning("stepped_back")  # another controller goes on
        finally:
            self.workforce.drop()
