"""A round: one experiment, one fault, and whether it ended as if nothing had happened."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.breaking.controller import controller
from benchmarks.breaking.experiments import add_experiment, candidates_of, outcome_of, settled_twice
from benchmarks.breaking.faults import Fault
from benchmarks.breaking.field import Field
from service.cli.installation.invariants_check import judged
from service.store.database import Database

LONGEST_ROUND = 300.0


@dataclass(frozen=True, slots=True)
class Course:
    """What an experiment comes to: its candidates by number, and its outcome."""

    candidates: dict[int, Any]
    outcome: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a round has come to."""

    fault: str
    equal: bool
    lost: int
    doubled: int
    broken: tuple[str, ...]
    seconds: float


def undisturbed(*, manner: str = "honest", folder: Path | None = None) -> Course:
    """Returns what the experiment comes to where nothing is broken; `folder` holds its parents."""
    with TemporaryDirectory() as home:
        database = Database(f"sqlite:///{home}/evomerge.db")
        database.upgrade()
        key = add_experiment(database, "undisturbed", folder=folder)
        runner = controller(database, manner=manner)
        while runner.run_next():
            pass
        found = Course(candidates_of(database, key), outcome_of(database, key))
        database.close()
        return found


def play(on: Field, name: str, fault: Fault, expected: Course) -> Found:
    """Plays a round, and compares its end."""
    started = time.monotonic()
    fault(on)
    has_ended = on.has_ended(started + LONGEST_ROUND)
    on.clear()
    found = Course(candidates_of(on.database, on.key), outcome_of(on.database, on.key))
    lost = sum(found.candidates.get(number) != one for number, one in expected.candidates.items())
    broken = tuple(verdict.invariant.id for verdict in judged(on.database) if not verdict.holds)
    doubled = settled_twice(on.database, on.key)
    return Found(name, has_ended and found == expected, lost, doubled, broken, time.monotonic() - started)
