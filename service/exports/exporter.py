"""Exporter: candidates become checkpoint folders, one after the other."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.errors import LeaseLostError
from service.exports.orders import order_for
from service.settings import Settings
from service.store.database import Database
from service.store.leases import claim_export, renew_export
from service.store.models import ExportRow, Json
from service.store.repository import Repository
from workers.errors import WorkerError
from workers.protocol.messages import Exported, Workforce

logger = structlog.get_logger(__name__)

PATIENCE = 1.0  # seconds between two looks for work


class Exporter:
    """A thread that carries out queued exports.

    It holds an export by a lease: when its controller dies, another (or the same, restarted) does
    it again, which is harmless because a checkpoint appears complete or not at all.
    """

    def __init__(self, database: Database, workforce: Workforce, settings: Settings) -> None:
        self.database, self.workforce, self.settings = database, workforce, settings
        self.owner = f"{socket.gethostname()[:100]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="evomerge-exporter", daemon=True)

    def start(self) -> None:
        """Begins to look for work."""
        self._thread.start()

    def stop(self, patience: float = 10.0) -> None:
        """Stops after the export under way; after `patience` seconds it is left to another controller."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def wake(self) -> None:
        """Says that there is work."""
        self._wake.set()

    @property
    def is_alive(self) -> bool:
        """Says whether exports are being carried out."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                busy = self.carry_out_next()
            except (SQLAlchemyError, LeaseLostError) as error:  # the lease lets it be done again
                logger.warning("export_interrupted", cause=str(error))
                busy = False
            if not busy:
                self._wake.wait(PATIENCE)

    def carry_out_next(self) -> bool:
        """Carries out the oldest waiting export; returns whether there was one."""
        with self.database.session() as session:
            row = claim_export(session, self.owner, seconds=self.settings.lease_seconds)
            if row is None:
                return False
            Repository(session).note_export(row)
        with self._kept(row.id):
            status, result = self._carry_out(row)
        with self.database.session() as session:
            renew_export(session, row.id, self.owner, seconds=self.settings.lease_seconds)
            repository = Repository(session)
            repository.end_export(repository.export(row.id), status, **result)
        logger.info("export_ended", export=str(row.id), status=status)
        return True

    def _carry_out(self, row: ExportRow) -> tuple[str, dict[str, Any]]:
        try:
            with self.database.reading() as session:
                order = order_for(Repository(session), row, self.settings)
            exported = self.workforce.run_errand(order)
        except WorkerError as error:
            return "failed", {"failure": _failure(error.code, f"{error.field}: {error.detail}", error.remedy)}
        except SQLAlchemyError:
            raise
        except Exception as error:
            logger.exception("export_failed", export=str(row.id))
            remedy = "look at the service's log, mend the cause and export again"
            return "failed", {
                "failure": _failure("export_failed", f"{type(error).__name__}: {error}", remedy)
            }
        if not isinstance(exported, Exported):
            raise TypeError(f"an export order was answered with {type(exported).__name__}")
        return "succeeded", {
            "folder": exported.folder,
            "url": exported.url,
            "bytes": exported.bytes,
            "digest": exported.digest,
            "options": {
                **row.options,
                "verified": exported.verified,
                "remarks": list(exported.remarks),
            },
        }

    @contextmanager
    def _kept(self, export: UUID) -> Iterator[None]:
        """Renews the lease for as long as the block lasts."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(self.settings.lease_seconds / 3):
                try:
                    with self.database.session() as session:
                        renew_export(session, export, self.owner, seconds=self.settings.lease_seconds)
                except LeaseLostError:
                    return
                except SQLAlchemyError as error:  # tried again before the lease runs out
                    logger.warning("lease_not_renewed", export=str(export), cause=str(error))

        thread = threading.Thread(target=renew, name="evomerge-export-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _failure(code: str, cause: str, remedy: str) -> Json:
    return {"code": code, "cause": cause, "remedy": remedy}
