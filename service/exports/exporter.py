"""Exporter: candidates become checkpoint folders, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.background.lease_keeper import LeaseKeeper
from service.background.polling_thread import PollingThread
from service.experiment.spec import ExperimentSpec
from service.exports.orders import order_for
from service.exports.publications import publication_at
from service.settings import Settings
from service.store.database import Database
from service.store.leases import claim_export, release_export, renew_export
from service.store.models import ExportRow
from service.store.repository import Repository
from service.tracing import span
from workers.compatibility.licences.reading import terms_of
from workers.compatibility.licences.verdict import ParentTerms
from workers.errors import WorkerError, WorkInterruptedError
from workers.protocol.failure import LONGEST_CAUSE, Failure
from workers.protocol.messages import Exported, Workforce

logger = structlog.get_logger(__name__)

AT_ONCE = 2  # exports that are carried out beside each other
PATIENCE = 1.0  # seconds between two looks for work


class Exporters:
    """Several exporters beside each other: an upload that stalls keeps no other export waiting."""

    def __init__(self, database: Database, workforce: Workforce, settings: Settings) -> None:
        self._each = [Exporter(database, workforce, settings) for _ in range(AT_ONCE)]

    def start(self) -> None:
        """Begins to look for work."""
        for each in self._each:
            each.start()

    def stop(self) -> None:
        """Stops looking; what is under way is let go, for the next controller."""
        for each in self._each:
            each.ask_to_stop()
        for each in self._each:
            each.stop()

    def wake(self) -> None:
        """Has one of them look for work now."""
        for each in self._each:
            each.wake()

    @property
    def trouble(self) -> str | None:
        """Why one of them could not do its work the last time it tried; None where all could."""
        return next((each.trouble for each in self._each if each.trouble is not None), None)

    @property
    def is_alive(self) -> bool:
        """Says whether all of them look for work."""
        return all(each.is_alive for each in self._each)


class Exporter(PollingThread):
    """A thread that carries out queued exports.

    It holds an export by a lease: when its controller dies, another (or the same, restarted) does
    it again, which is harmless because a checkpoint appears complete or not at all.
    """

    def __init__(self, database: Database, workforce: Workforce, settings: Settings) -> None:
        super().__init__("evomerge-exporter", pause=PATIENCE)
        self.database, self.workforce, self.settings = database, workforce, settings

    def run_next(self) -> bool:
        """Carries out the oldest waiting export; returns whether there was one."""
        with self.database.session() as session:
            row = claim_export(session, self.owner, seconds=self.settings.lease_seconds)
            if row is None:
                return False
            Repository(session).note_export(row)
        try:
            with (
                structlog.contextvars.bound_contextvars(
                    export=str(row.id), experiment=str(row.experiment_id)
                ),
                LeaseKeeper(
                    f"export {row.id}", lambda: self._renew(row.id), seconds=self.settings.lease_seconds
                ),
                span("export", export=str(row.id), experiment=str(row.experiment_id)),
            ):
                status, result = self._carry_out(row)
        except WorkInterruptedError:
            if self._stopping.is_set():  # the next controller begins it again
                with self.database.session() as session:
                    release_export(session, row.id, self.owner)
                return True
            status, result = "cancelled", {}
        with self.database.session() as session:
            renew_export(session, row.id, self.owner, seconds=self.settings.lease_seconds)
            repository = Repository(session)
            repository.end_export(repository.export(row.id), status, **result)
        logger.info("export_ended", export=str(row.id), status=status)
        return True

    def _renew(self, export: UUID) -> None:
        with self.database.session() as session:
            renew_export(session, export, self.owner, seconds=self.settings.lease_seconds)

    def _terms(self, row: ExportRow) -> tuple[ParentTerms, ...]:
        """Returns the parents' terms; it may take the network, and no transaction is open meanwhile."""
        with self.database.reading() as session:
            spec = ExperimentSpec.model_validate(Repository(session).experiment(row.experiment_id).spec)
        return terms_of(spec.all_parents)

    def _listener(self, export: UUID) -> Callable[[], bool]:
        """Returns what says, at most once a second, whether an export is to be given up."""
        looked, cancelled = float("-inf"), False

        def is_given_up() -> bool:
            nonlocal looked, cancelled
            if self._stopping.is_set():
                return True
            if monotonic() - looked >= PATIENCE:
                with suppress(SQLAlchemyError), self.database.reading() as session:
                    cancelled = Repository(session).export(export).status == "cancelling"
                looked = monotonic()
            return cancelled

        return is_given_up

    def _carry_out(self, row: ExportRow) -> tuple[str, dict[str, Any]]:
        try:
            terms = self._terms(row)
            publication = publication_at(self.workforce, row.target)
            with self.database.reading() as session:
                order = order_for(Repository(session), row, self.settings, terms, publication)
            if row.status == "cancelling":  # its controller died before it could
                raise WorkInterruptedError
            exported = self.workforce.run_job(order, self._listener(row.id))
        except WorkerError as error:
            return "failed", {"failure": Failure.of(error).as_json()}
        except (SQLAlchemyError, WorkInterruptedError):
            raise
        except Exception as error:
            logger.exception("export_failed", export=str(row.id))
            remedy = "look at the service's log, mend the cause and export again"
            failure = Failure("export_failed", f"{type(error).__name__}: {error}"[:LONGEST_CAUSE], remedy)
            return "failed", {"failure": failure.as_json()}
        if not isinstance(exported, Exported):
            raise TypeError(f"an export order was answered with {type(exported).__name__}")
        return "succeeded", {
            "folder": exported.folder,
            "url": exported.url,
            "bytes": exported.bytes,
            "digest": exported.digest,
            "options": {**row.options, "notes": list(exported.notes), "verified": exported.verified},
        }
