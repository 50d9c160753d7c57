"""Database: an engine for SQLite or Postgres, its transactions, and its migrations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

import migrations

BUSY_SECONDS = 30  # how long SQLite waits for another writer
_MIGRATION_LOCK = 0x65766F6D  # any number that no one else locks


class Database:
    """Opens transactions.  `session` may write; `reading` sees one moment and disturbs no writer.

    Rows stay readable after their transaction: nothing is loaded later behind one's back.
    """

    def __init__(self, url: str | URL) -> None:
        self.url = _with_driver(make_url(url))
        self.engine = _engine(self.url)
        self._reader = self.engine.execution_options(**_READING[self.engine.dialect.name])

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
                connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            command.upgrade(migration_config(connection), "head")

    def close(self) -> None:
        """Lets all connections go."""
        self.engine.dispose()


def migration_config(connection: Connection) -> Config:
    """Returns Alembic's configuration for this connection; works from an installed wheel too."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


_READING: dict[str, dict[str, Any]] = {
    "sqlite": {"begin": "BEGIN"},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


def _with_driver(url: URL) -> URL:
    """Takes the driver that is installed where the URL names none."""
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    return url


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
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
