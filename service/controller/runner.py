"""Runner: takes experiments, one after the other, and runs each for as long as it goes.

Several run beside each other: see `service.controller.runners`.

What running one means is in `service.controller.experiment_run`, the search itself in `service.search.loop`.
"""

from __future__ import annotations

from time import monotonic
from uuid import UUID

import structlog

from service.background.lease_keeper import LeaseKeeper
from service.background.polling_thread import PollingThread
from service.controller.experiment_run import ExperimentRun, failure_of
from service.controller.free_space import (
    DISK_FULL,
    is_disk_full,
    lack_of_space,
    resume_where_there_is_space,
)
from service.controller.places import Places
from service.errors import LeaseLostError
from service.experiment.status import ExperimentStatus
from service.settings import Settings
from service.store.database import DATABASE_AWAY, Database
from service.store.journal import DatabaseJournal
from service.store.leases import acquire_lease, next_experiment, release_lease, renew_lease
from service.store.repository import Repository
from service.tracing import span
from workers.protocol.messages import Workforce

IDLE_SECONDS = 0.5  # between two looks for something to do
FULL_SECONDS = 15.0  # until it is tried again whether the database's disk has room
_S = ExperimentStatus

logger = structlog.get_logger()


class Runner(PollingThread):
    """A thread that runs the first experiment that no controller runs: of higher priority, or older.

    Several controllers may work at once: a lease keeps them from running the same experiment.  Stopped,
    it steps back from the experiment at hand, which the next controller goes on with at once.
    """

    def __init__(
        self, database: Database, workforce: Workforce, settings: Settings, *, places: Places | None = None
    ) -> None:
        super().__init__("evomerge-runner", pause=IDLE_SECONDS)
        self.database, self.workforce, self.settings = database, workforce, settings
        self._places = places or Places()
        self._patient_until = float("-inf")  # with experiments that the database's full disk has paused

    def run_next(self) -> bool:
        """Runs the next experiment that needs it for as long as it goes; False where there is none."""
        claimed = self._places.take(self._claim)
        if claimed is None:
            return False
        key, epoch = claimed
        force = self.workforce.for_experiment()
        try:
            with (
                # Whatever is logged while it runs names the experiment.
                structlog.contextvars.bound_contextvars(experiment=str(key)),
                self._kept(key, epoch, force) as lease,
                span("experiment", experiment=str(key)),
            ):
                self._run_safely(key, epoch, lease, force)
        finally:
            self._places.give_back()
        return True

    def _kept(self, key: UUID, epoch: int, force: Workforce) -> LeaseKeeper:
        seconds = self.settings.lease_seconds

        def renew() -> None:
            with self.database.session() as session:
                renew_lease(session, key, epoch, seconds=seconds, workers=force.held)

        def release() -> None:
            with self.database.session() as session:
                release_lease(session, key, epoch)

        return LeaseKeeper(f"experiment {key}", renew, release, seconds=seconds)

    def _claim(self) -> tuple[UUID, int] | None:
        """Takes the lease; a queued experiment runs from the same moment on."""
        with self.database.session() as session:
            if monotonic() >= self._patient_until:
                resume_where_there_is_space(session, self.settings)
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

    def _run_safely(self, key: UUID, epoch: int, lease: LeaseKeeper, force: Workforce) -> None:
        """Runs an experiment; every error ends in a sentence that people can read."""
        journal = DatabaseJournal(
            self.database, key, epoch, stopping=self._stopping.is_set, owner=self.owner, held=lease.is_held
        )
        journal.trouble = lambda: force.trouble
        journal.lack_of_space = lambda: lack_of_space(self.settings)
        run = ExperimentRun(journal, force, self.settings)
        try:
            try:
                run.run()
            except (LeaseLostError, *DATABASE_AWAY) as error:
                if is_disk_full(error):  # a status still fits where many rows do not
                    self._patient_until = monotonic() + FULL_SECONDS
                    run.pause(DISK_FULL)
                    return
                raise  # the database is away: the next holder of the lease goes on
            except Exception as error:
                failure = failure_of(error)
                logger.exception("experiment_failed", code=failure.code)
                run.end(_S.FAILED, failure=failure)
        except LeaseLostError:
            logger.warning("stepped_back")  # another controller goes on
        finally:
            force.release()
