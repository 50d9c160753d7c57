"""Too little space pauses an experiment with a reason, and room has it go on to the same end."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from service.controller.free_space import DISK_FULL, NO_SPACE, is_disk_full, lack_of_space
from service.controller.runner import Runner
from service.experiment.status import ExperimentStatus
from service.settings import Settings
from service.store.database import Database
from tests.service.scripted_workforce import ScriptedWorkforce
from tests.service.small_experiments import add_experiment, final_state, reload
from tests.service.soundness import broken

pytestmark = pytest.mark.faults

OBJECTIVES = ("words", "sums")
MORE_THAN_THERE_IS = 2**62  # bytes


class FullDisk(sqlite3.OperationalError):
    """What SQLite says where the disk is full."""

    sqlite_errorcode = sqlite3.SQLITE_FULL


def runner_over(database: Database, home: Path, *, floor: int) -> Runner:
    settings = Settings(home=home, fewest_bytes_free=floor, lease_seconds=600.0)
    return Runner(database, ScriptedWorkforce(slots=2, benchmarks=OBJECTIVES), settings)


def drive(runner: Runner) -> None:
    while runner.run_next():
        pass


def test_an_experiment_pauses_for_want_of_space_says_so_and_goes_on_when_there_is_room(
    sqlite_database: Database, tmp_path: Path
) -> None:
    expected = add_experiment(sqlite_database, name="untroubled")
    drive(runner_over(sqlite_database, tmp_path, floor=0))
    row = add_experiment(sqlite_database, name="small")
    short = runner_over(sqlite_database, tmp_path, floor=MORE_THAN_THERE_IS)
    drive(short)
    paused = reload(sqlite_database, row)
    assert paused.status is ExperimentStatus.PAUSED
    assert paused.reason is not None
    assert paused.reason.startswith(NO_SPACE)
    assert "make room, and it goes on by itself" in paused.reason
    assert not short.run_next()  # it is not tried again and again
    drive(runner_over(sqlite_database, tmp_path, floor=0))
    assert final_state(sqlite_database, row) == final_state(sqlite_database, expected)
    assert broken(sqlite_database) == {}


def test_a_full_disk_of_the_database_pauses_the_experiment(sqlite_database: Database, tmp_path: Path) -> None:
    row = add_experiment(sqlite_database)
    full: list[str] = []

    def refuse(*given: Any) -> None:
        if "INSERT INTO evaluations" in given[2] and not full:
            full.append(given[2])
            raise OperationalError("INSERT", None, FullDisk("database or disk is full"))

    event.listen(sqlite_database.engine, "before_cursor_execute", refuse)
    assert runner_over(sqlite_database, tmp_path, floor=MORE_THAN_THERE_IS // 2**40).run_next()
    paused = reload(sqlite_database, row)
    assert (paused.status, paused.reason) == (ExperimentStatus.PAUSED, DISK_FULL)
    drive(runner_over(sqlite_database, tmp_path, floor=0))
    assert reload(sqlite_database, row).status is ExperimentStatus.SUCCEEDED
    assert broken(sqlite_database) == {}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EACCES, "not allowed"), False),
        (OperationalError("INSERT", None, FullDisk("database or disk is full")), True),
        (OperationalError("INSERT", None, sqlite3.OperationalError("database is locked")), False),
    ],
)
def test_a_full_disk_is_told_from_other_errors(error: Exception, *, expected: bool) -> None:
    assert is_disk_full(error) is expected


def test_where_the_home_is_still_missing_its_disk_is_looked_at(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "not" / "there", fewest_bytes_free=MORE_THAN_THERE_IS)
    assert str(tmp_path) in str(lack_of_space(settings))
    assert lack_of_space(Settings(home=tmp_path, fewest_bytes_free=0)) is None
