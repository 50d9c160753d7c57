"""What goes wrong between a controller and its database, from inside the controller."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack
from typing import Any

import psycopg
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from service.store.database import Database

POOL = 15  # connections that one pool of SQLAlchemy gives out


class DatabaseFaults:
    """Counts what is done with the database, and breaks it at the place that was named.

    Args:
        kill_at: The begin or commit of a transaction, counted from 1, at which the process ends.
        fail_after_commit: The commit after which an error says that it may not have taken place.
        exhausted: After so many commits others take all connections of the pool ...
        full: ... or the disk is full, ...
        seconds: ... for so long.
    """

    def __init__(
        self,
        kill_at: int | None = None,
        fail_after_commit: int | None = None,
        exhausted: int | None = None,
        full: int | None = None,
        seconds: float = 0.0,
    ) -> None:
        self.kill_at, self.fail_after_commit = kill_at, fail_after_commit
        self.exhausted, self.full, self.seconds = exhausted, full, seconds
        self.steps = self.commits = 0
        self._full_until = 0.0

    def watch(self, database: Database) -> None:
        """Has every begin and every commit of the database counted."""
        event.listen(database.engine, "begin", self._step)
        event.listen(database.engine, "commit", self._step)
        event.listen(database.engine, "do_execute", self._refuse)
        event.listen(database.engine, "do_executemany", self._refuse)
        dialect: Any = database.engine.dialect
        commit = dialect.do_commit

        def committed(connection: Any) -> None:  # noqa: ANN401 - the driver's
            commit(connection)
            self.commits += 1
            if self.commits == self.exhausted:
                threading.Thread(target=self._exhaust, args=(database,), daemon=True).start()
            if self.commits == self.full:
                self._full_until = time.monotonic() + self.seconds
            if self.commits == self.fail_after_commit:
                raise OperationalError("COMMIT", None, ConnectionError("cut after COMMIT"))

        dialect.do_commit = committed

    def _step(self, *_: object) -> None:
        self.steps += 1
        if self.steps == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _refuse(self, cursor: object, statement: str, *_: object) -> None:  # noqa: ARG002 - SQLAlchemy's
        if time.monotonic() < self._full_until and statement.startswith("INSERT INTO candidates"):
            raise psycopg.errors.DiskFull("could not extend file: No space left on device")

    def _exhaust(self, database: Database) -> None:
        """Takes connection after connection, until none is left to take or the time is over."""
        until = time.monotonic() + self.seconds
        with ExitStack() as held:
            for _ in range(POOL):
                held.enter_context(database.engine.connect())
            time.sleep(max(until - time.monotonic(), 0.0))
