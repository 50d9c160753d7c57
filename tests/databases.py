"""Databases for tests: an SQLite file, and a real Postgres that one session starts once.

After tests that are marked `faults` every invariant of `evomerge doctor` must hold of their database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.measuring.postgres import PostgresServer, postgres
from service.store.database import Database
from tests.service.soundness import broken

BACKENDS = ("sqlite", "postgres")
NewUrl = Callable[[], str]


@contextmanager
def fresh_database(url: str, *, judge: bool = False) -> Iterator[Database]:
    """Opens a database with all tables, and closes it; `judge` demands before that all invariants hold."""
    database = Database(url)
    database.upgrade()
    try:
        yield database
        if judge:
            found = broken(database, replay=False)
            assert found == {}, found
    finally:
        database.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server that runs for the session, started when the first test asks for it.

    Its folder is not among pytest's: root's server runs as another user, and every new run of pytest
    closes the folder of all runs to others.
    """
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def new_postgres(postgres_server: PostgresServer) -> NewUrl:
    """Returns URLs of new, empty databases of one server."""
    return postgres_server.new_url


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
def database(database_url: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database with all tables, of each kind in turn."""
    with fresh_database(database_url, judge="faults" in request.keywords) as opened:
        yield opened


@pytest.fixture
def sqlite_database(sqlite_url: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """An SQLite file with all tables, for tests to which the kind does not matter."""
    with fresh_database(sqlite_url, judge="faults" in request.keywords) as opened:
        yield opened
