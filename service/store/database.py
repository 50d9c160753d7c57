"""Database: an engine for SQLite or Postgres, its transactions, and its migrations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

import migrations

BUSY_SECONDS = 30  # how long SQLite waits for another writer
POOL_SECONDS = 10.0  # that a transaction waits for a free connection
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)
"""What is raised where the database does not answer, is busy or full, or ended the transaction."""
_MIGRATION_LOCK = 0x65766F6D  # any number that no one else locks


class Database:
    """Opens transactions.  `session` may write; `reading` sees one moment and disturbs no writer.

    Rows stay readable after their transaction: nothing is loaded later behind one's back.
    """

    def __init__(self, url: str | URL) -> None:
        self.url = _with_driver(make_url(url))
        self.engine = _engine(self.url, _WRITER)
        # On Postgres readers have connections of their own: however many there are, writers get theirs.
        self._readers = self.engine if self._is_sqlite else _engine(self.url, _READER)
        self._reader = self._readers.execution_options(**_READING[self.engine.dialect.name])

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Opens one transaction: committed at the end of the block, rolled back on an error."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Opens one transaction that only reads, and sees the same moment throughout."""
        with Session(self._reader, expire_on_commit=False) as session, session.begin():
            yield session

    def upgrade(self) -> None:
        """Brings the tables to the newest version; of several controllers only one does it."""
        with self.engine.begin() as connection:  # on SQLite this holds the only write lock already
            if connection.dialect.name == "postgresql":
                for timeout in ("lock", "statement", "idle_in_transaction_session"):  # it takes what it takes
                    connection.exec_driver_sql(f"SET LOCAL {timeout}_timeout = 0")
                connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            command.upgrade(migration_config(connection), "head")

    def close(self) -> None:
        """Lets all connections go."""
        self.engine.dispose()
        self._readers.dispose()

    @property
    def _is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"


def migration_config(connection: Connection) -> Config:
    """Returns Alembic's configuration for this connection; works from an installed wheel too."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


# A controller that is stopped in the middle of a transaction holds its locks: the server ends it.
_WRITER = {
    "lock_timeout": "5s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "10s",
}
_READER = {"statement_timeout": "60s", "idle_in_transaction_session_timeout": "120s"}
# A host that vanished is noticed by the kernel, not after two hours.
_KEEPALIVES = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds
}
_READING: dict[str, dict[str, Any]] = {
    "sqlite": {"begin": "BEGIN"},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


def _with_driver(url: URL) -> URL:
    """Takes the driver that is installed where the URL names none."""
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    return url


def _engine(url: URL, timeouts: Mapping[str, str]) -> Engine:
    if url.get_backend_name() != "sqlite":
        options = [f"-c {name}={value}" for name, value in timeouts.items()]
        given = str(url.query.get("options", ""))  # what comes last wins
        unsaid = {name: value for name, value in _KEEPALIVES.items() if name not in url.query}
        return create_engine(
            url.difference_update_query(["options"]),
            connect_args={**unsaid, "options": " ".join([*options, given]).strip()},
            pool_pre_ping=True,
            pool_timeout=POOL_SECONDS,
            hide_parameters=True,
        )
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: object) -> None:  # noqa: ANN401, ARG001 - sqlite3's connection
    connection.isolation_level = None  # the driver opens no transactions of its own: _begin_sqlite does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    _write_ahead(cursor)
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    """Turns the write-ahead log on; SQLite itself does not wait for others at this one change."""
    until = monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > until:
                raise
            sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail when another wrote in between.
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN IMMEDIATE"))
