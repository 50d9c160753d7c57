"""Exporter: candidates become checkpoint folders, one after the other."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.background.lease_keeper import LeaseKeeper
from service.background.polling_thread import PollingThread
from service.experiment.spec import ExperimentSpec
from service.exports.orders import order_for
from service.settings import Settings
from service.store.database import Database
from service.store.leases import claim_export, renew_export
from service.store.models import ExportRow
from service.store.repository import Repository
from workers.compatibility.licences.reading import terms_of
from workers.compatibility.licences.verdict import ParentTerms
from workers.errors import WorkerError
from workers.protocol.failure import LONGEST_CAUSE, Failure
from workers.protocol.messages import Exported, Workforce

logger = structlog.get_logger(__name__)

PATIENCE = 1.0  # seconds between two looks for work


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
        with LeaseKeeper(
            f"export {row.id}", lambda: self._renew(row.id), seconds=self.settings.lease_seconds
        ):
            status, result = self._carry_out(row)
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

    def _carry_out(self, row: ExportRow) -> tuple[str, dict[str, Any]]:
        try:
            terms = self._terms(row)
            with self.database.reading() as session:
                order = order_for(Repository(session), row, self.settings, terms)
            exported = self.workforce.run_job(order)
        except WorkerError as error:
            return "failed", {"failure": Failure.of(error).as_json()}
        except SQLAlchemyError:
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
