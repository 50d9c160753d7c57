"""The core of `benchmarks.chaos`: what is broken under a search changes nothing of its end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest

from benchmarks.breaking.controller import controller
from benchmarks.breaking.experiments import add_experiment, candidates_of, outcome_of, settled_twice
from benchmarks.breaking.proxy import CuttingProxy
from benchmarks.breaking.rounds import Course, undisturbed
from benchmarks.chaos import ALL_FAULTS
from benchmarks.measuring.postgres import PostgresServer
from service.experiment.status import ENDED
from service.store.database import DATABASE_AWAY, Database
from service.store.repository import Repository
from tests.databases import NewUrl, fresh_database, new_postgres, postgres_server, sqlite_database, sqlite_url
from tests.service.running import wait_for

__all__ = ["new_postgres", "postgres_server", "sqlite_database", "sqlite_url"]

pytestmark = pytest.mark.faults
expected = cache(undisturbed)


@pytest.fixture
def on_postgres(new_postgres: NewUrl) -> Iterator[Database]:
    with fresh_database(new_postgres(), judge=True) as database:
        yield database


@pytest.mark.parametrize(
    ("manner", "as_if"), [("lost_or_lied", "honest"), ("no_numbers", "refused")], ids=["lies", "no numbers"]
)
def test_workers_that_are_lost_hang_lie_or_answer_no_numbers_change_nothing_else(
    sqlite_database: Database, manner: str, as_if: str
) -> None:
    key = add_experiment(sqlite_database, "mischief")
    controller(sqlite_database, manner=manner).run_next()
    found = Course(candidates_of(sqlite_database, key), outcome_of(sqlite_database, key))
    assert found == expected(manner=as_if)
    assert settled_twice(sqlite_database, key) == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGQUIT, marks=pytest.mark.slow)])
def test_a_search_goes_on_when_postgres_has_recovered_from_a_crash(
    on_postgres: Database, postgres_server: PostgresServer, how: signal.Signals
) -> None:
    key = add_experiment(on_postgres, "crash")
    runner = controller(on_postgres, pace=0.01)
    runner.start()
    wait_for(lambda: settled(on_postgres) >= 15, "some candidates")
    postgres_server.restart(how)
    end_as_expected(on_postgres, key)
    runner.stop()


def test_a_connection_that_is_cut_between_a_commit_and_its_answer_doubles_nothing(
    on_postgres: Database,
) -> None:
    key = add_experiment(on_postgres, "cut")
    url = on_postgres.url.render_as_string(hide_password=False)
    with TemporaryDirectory() as folder, CuttingProxy(url, Path(folder), cut=12) as proxy:
        behind = Database(proxy.url)
        runner = controller(behind)
        runner.start()
        end_as_expected(on_postgres, key)
        runner.stop()
        behind.close()
        assert proxy.has_cut.is_set()


def settled(database: Database) -> int:
    """Returns how many candidates have ended."""
    with database.reading() as session:
        counts = Repository(session).counts(Repository(session).experiments(limit=1)[0].id)
    return sum(count for status, count in counts.items() if status != "proposed")


def end_as_expected(database: Database, key: UUID) -> None:
    """Waits for the end, which must be that of an undisturbed run."""

    def has_ended() -> bool:
        try:
            with database.reading() as session:
                return Repository(session).experiments(limit=1)[0].status in ENDED
        except DATABASE_AWAY:
            return False

    wait_for(has_ended, "the end", seconds=120.0)
    found = Course(candidates_of(database, key), outcome_of(database, key))
    assert found == expected(manner="honest")
    assert settled_twice(database, key) == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_round_of_every_fault_ends_as_if_nothing_had_happened() -> None:
    played = subprocess.run(
        [sys.executable, "-m", "benchmarks.chaos"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    result = json.loads(played.stdout.splitlines()[-1])
    assert (result["equal"], result["lost"], result["doubled"]) == (len(ALL_FAULTS), 0, 0), played.stdout
    assert result["broken"] == []
