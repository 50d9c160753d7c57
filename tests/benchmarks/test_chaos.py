from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.breaking.controller import controller
from benchmarks.breaking.experiments import add_experiment, candidates_of, outcome_of, settled_twice
from benchmarks.chaos import FAULTS, undisturbed
from service.store.database import Database
from tests.databases import sqlite_database, sqlite_url
from tests.service.soundness import broken

__all__ = ["sqlite_database", "sqlite_url"]


def test_workers_that_lose_and_lie_change_nothing(sqlite_database: Database) -> None:
    key = add_experiment(sqlite_database, "mischief")
    controller(sqlite_database, mischief=True).run_next()
    assert (candidates_of(sqlite_database, key), outcome_of(sqlite_database, key)) == undisturbed()
    assert settled_twice(sqlite_database, key) == 0
    assert broken(sqlite_database) == {}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_round_of_every_fault_ends_as_if_nothing_had_happened() -> None:
    played = subprocess.run(
        [sys.executable, "-m", "benchmarks.chaos", "--rounds", str(len(FAULTS))],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    result = json.loads(played.stdout.splitlines()[-1])
    assert (result["equal"], result["lost"], result["doubled"]) == (len(FAULTS), 0, 0), played.stdout
    assert result["broken"] == []
