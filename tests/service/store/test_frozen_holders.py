"""Controllers that are stopped in the middle of a transaction, on Postgres."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from service.background.lease_keeper import LeaseKeeper
from service.errors import LeaseLostError
from service.store.database import DATABASE_AWAY, Database
from service.store.journal import DatabaseJournal
from service.store.leases import acquire_lease, prove_lease
from service.store.repository import Repository
from tests.databases import NewUrl, fresh_database
from tests.service.running import wait_for
from tests.service.small_experiments import add_experiment

pytestmark = pytest.mark.faults


@pytest.fixture
def postgres_url(new_postgres: NewUrl) -> str:
    """A database whose transactions may stand still for half a second."""
    options = "-c idle_in_transaction_session_timeout=500"
    url = make_url(new_postgres()).update_query_dict({"options": options})
    return url.render_as_string(hide_password=False)


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Database]:
    with fresh_database(postgres_url) as opened:
        yield opened


def test_a_frozen_holder_keeps_no_other_experiment_waiting_and_its_own_is_taken_over(
    postgres: Database, postgres_url: str
) -> None:
    mine, other = add_experiment(postgres), add_experiment(postgres, name="other")
    with postgres.session() as session:
        assert acquire_lease(session, mine.id, "frozen", seconds=-1.0) == 1
    with Database(postgres_url).session() as healthy, postgres.engine.connect() as connection:
        frozen = Session(connection)
        prove_lease(frozen, mine.id, 1)
        Repository(frozen).add_event(mine.id, "candidate.settled", {})
        healthy.execute(text("SET LOCAL lock_timeout = 100"))
        Repository(healthy).add_event(other.id, "candidate.settled", {})
        healthy.execute(text("SET LOCAL lock_timeout = 0"))
        # Waits until the server has ended the other's transaction.
        assert acquire_lease(healthy, mine.id, "healthy", seconds=60.0) == 2
        with pytest.raises(DATABASE_AWAY):
            frozen.execute(text("SELECT 1"))
    with postgres.session() as session, pytest.raises(LeaseLostError):
        prove_lease(session, mine.id, 1)


def test_every_connection_has_limits_and_notices_a_vanished_host(new_postgres: NewUrl) -> None:
    database = Database(new_postgres())
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    with database.session() as session:
        assert [session.scalar(text(f"SHOW {name}")) for name in names] == ["5s", "1min", "10s"]
    with database.reading() as session:
        assert [session.scalar(text(f"SHOW {name}")) for name in names] == ["0", "1min", "2min"]
    database.close()


def test_readers_take_no_connection_from_writers(new_postgres: NewUrl) -> None:
    with fresh_database(new_postgres(), judge=True) as database:
        readers = [database.reading() for _ in range(15)]
        for reader in readers:
            reader.__enter__().execute(text("SELECT 1"))
        add_experiment(database)
        for reader in readers:
            reader.__exit__(None, None, None)


def test_a_holder_that_cannot_renew_its_lease_stops_by_its_own_clock(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database)

    def fail() -> None:
        raise DATABASE_AWAY[0]("SELECT 1", {}, Exception("no answer"))

    with LeaseKeeper("it", fail, seconds=1.0) as lease:
        journal = DatabaseJournal(sqlite_database, row.id, row.epoch, held=lease.is_held)
        assert journal.control_request() is None
        wait_for(lambda: not lease.is_held(), "the deadline")
        with pytest.raises(LeaseLostError):
            journal.control_request()
        with pytest.raises(LeaseLostError), journal.writing():
            time.sleep(0)
