from __future__ import annotations

import threading

import pytest
from sqlalchemy import select, text

from service.errors import LeaseLostError
from service.experiment.status import ExperimentStatus
from service.reports.experiments import experiment_view
from service.store.clock import DatabaseClock
from service.store.database import Database
from service.store.leases import (
    acquire_lease,
    claim_export,
    next_experiment,
    prove_lease,
    release_lease,
    renew_export,
    renew_lease,
)
from service.store.models import ExperimentRow
from service.store.repository import Repository
from tests.service.small_experiments import add_experiment, reload


def acquire(database: Database, row: ExperimentRow, owner: str, seconds: float = 60.0) -> int | None:
    with database.session() as session:
        return acquire_lease(session, row.id, owner, seconds=seconds)


def prove(database: Database, row: ExperimentRow, epoch: int) -> None:
    with database.session() as session:
        prove_lease(session, row.id, epoch)


def test_the_clock_is_the_databases_and_moves(database: Database) -> None:
    with database.reading() as session:
        first = session.scalar(select(DatabaseClock()))
    with database.reading() as session:
        second = session.scalar(select(DatabaseClock()))
    assert first is not None
    assert second is not None
    assert 1_700_000_000 < first <= second < first + 60


def test_one_holds_a_lease_and_others_do_not(database: Database) -> None:
    row = add_experiment(database)
    assert acquire(database, row, "one") == 1
    assert acquire(database, row, "other") is None
    assert acquire(database, row, "one") == 2  # its own former self, before a crash


def test_a_lease_that_ran_out_goes_to_whoever_asks(database: Database) -> None:
    row = add_experiment(database)
    assert acquire(database, row, "one", seconds=-1.0) == 1
    assert acquire(database, row, "other") == 2
    with pytest.raises(LeaseLostError):
        prove(database, row, 1)
    prove(database, row, 2)


def test_renewing_keeps_it_and_fails_once_it_is_lost(database: Database) -> None:
    row = add_experiment(database)
    acquire(database, row, "one", seconds=-1.0)
    with database.session() as session:
        renew_lease(session, row.id, 1, seconds=60.0)
    assert acquire(database, row, "other") is None
    with database.session() as session:
        session.execute(text("UPDATE experiments SET lease_until = 0"))
    assert acquire(database, row, "other") == 2
    with pytest.raises(LeaseLostError), database.session() as session:
        renew_lease(session, row.id, 1, seconds=60.0)


def test_a_lease_says_who_runs_an_experiment_with_how_many_workers(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database)
    acquire(sqlite_database, row, "host:42:abcd")
    with sqlite_database.session() as session:
        renew_lease(session, row.id, 1, seconds=60.0, workers=3)
    with sqlite_database.reading() as session:
        view = experiment_view(Repository(session), Repository(session).experiment(row.id))
    assert (view.controller, view.workers) == ("host:42", 3)
    with sqlite_database.session() as session:
        release_lease(session, row.id, 1)
    with sqlite_database.reading() as session:
        view = experiment_view(Repository(session), Repository(session).experiment(row.id))
    assert (view.controller, view.workers) == (None, None)


def test_a_released_lease_is_free_at_once_and_a_lost_one_cannot_be_released(database: Database) -> None:
    row = add_experiment(database)
    acquire(database, row, "one")
    with database.session() as session:
        release_lease(session, row.id, 1)
    assert acquire(database, row, "other") == 2
    with database.session() as session:
        release_lease(session, row.id, 1)
    assert reload(database, row).lease_owner == "other"


def test_of_many_who_ask_at_once_one_gets_it(database: Database) -> None:
    row = add_experiment(database)
    epochs: list[int | None] = []
    threads = [
        threading.Thread(target=lambda n=n: epochs.append(acquire(database, row, f"controller {n}")))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(epoch for epoch in epochs if epoch is not None) == [1]
    assert len(epochs) == 8


def test_the_oldest_experiment_that_needs_a_controller_comes_first(database: Database) -> None:
    rows = [add_experiment(database, name=f"number {i}") for i in range(3)]
    acquire(database, rows[0], "other")
    with database.session() as session:
        repository = Repository(session)
        found = next_experiment(session, "me")
        assert found is not None
        assert found.id == rows[1].id
        repository.move(found, ExperimentStatus.CANCELLED)
        found = next_experiment(session, "me")
        assert found is not None
        assert found.id == rows[2].id


def test_an_export_is_written_by_one_controller(database: Database) -> None:
    row = add_experiment(database)
    with database.session() as session:
        export = Repository(session).create_export(row.id, 0, "/out", {})
    with database.session() as session:
        claimed = claim_export(session, "one", seconds=60.0)
        assert claimed is not None
        assert (claimed.id, claimed.status) == (export.id, "running")
    with database.session() as session:
        assert claim_export(session, "other", seconds=60.0) is None
        session.execute(text("UPDATE exports SET lease_until = 0"))  # its controller fell silent
        assert claim_export(session, "other", seconds=60.0) is not None
    with pytest.raises(LeaseLostError), database.session() as session:
        renew_export(session, export.id, "one", seconds=60.0)
