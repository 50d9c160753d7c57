from __future__ import annotations

import threading
from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from service.store.database import Database, migration_config
from service.store.models import Base, CandidateRow, ExperimentRow


def test_the_migrations_make_the_tables_that_the_models_describe(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert {*inspect(connection).get_table_names()} == {*Base.metadata.tables, "alembic_version"}


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    database.upgrade()


def test_the_migrations_can_be_undone(database: Database) -> None:
    with database.engine.begin() as connection:
        command.downgrade(migration_config(connection), "base")
    with database.engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]


def test_controllers_that_start_at_once_do_not_migrate_twice(database_url: str) -> None:
    errors = []

    def start() -> None:
        own = Database(database_url)
        try:
            own.upgrade()
        except Exception as error:  # noqa: BLE001 - shown below
            errors.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_migrations_are_found_from_any_folder(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opened = Database(sqlite_url)
    opened.upgrade()
    opened.close()


def test_an_error_rolls_the_whole_transaction_back(database: Database) -> None:
    with pytest.raises(RuntimeError), database.session() as session:  # noqa: PT012 - all of it is rolled back
        session.add(ExperimentRow(name="one", spec={}, facts={}))
        session.flush()
        raise RuntimeError
    with database.reading() as session:
        assert session.scalars(select(ExperimentRow)).all() == []


def test_a_reader_sees_one_moment(database: Database) -> None:
    with database.reading() as reader:
        assert reader.scalars(select(ExperimentRow)).all() == []
        with database.session() as writer:
            writer.add(ExperimentRow(name="one", spec={}, facts={}))
        assert reader.scalars(select(ExperimentRow)).all() == []


def test_times_come_back_in_utc(database: Database) -> None:
    with database.session() as session:
        row = ExperimentRow(name="one", spec={}, facts={})
        session.add(row)
    with database.reading() as session:
        again = session.get_one(ExperimentRow, row.id)
        assert again.created_at == row.created_at
        assert again.created_at.utcoffset() is not None


def test_rows_that_point_nowhere_are_refused(database: Database) -> None:
    row = CandidateRow(id=uuid4(), experiment_id=uuid4(), number=0, generation=0, status="proposed")
    with pytest.raises(IntegrityError), database.session() as session:
        session.add(row)


def test_sqlite_writes_through_to_the_disk(sqlite_database: Database) -> None:
    with sqlite_database.engine.connect() as connection:
        pragmas = {
            name: connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_a_reading_transaction_cannot_write_on_postgres(new_postgres: object) -> None:
    opened = Database(new_postgres())  # type: ignore[operator]
    opened.upgrade()
    with pytest.raises(Exception, match="read-only"), opened.reading() as session:
        session.add(ExperimentRow(name="one", spec={}, facts={}))
    opened.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((OSError, OperationalError), match="file"):
        Database(f"sqlite:///{tmp_path / 'file' / 'evomerge.db'}")
