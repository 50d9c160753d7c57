"""Breaks controllers, workers and the database under a search, and looks whether it ends as it must.

    python -m benchmarks.chaos [--rounds N] [--seed S] [--only FAULT]

Every round is one experiment on Postgres, with controllers as processes and one fault: killed at a random
moment or at one transaction's begin or commit, frozen until another has taken over, cut off after a
commit, two at once of which one is killed, Postgres restarted under load, workers that are lost and lie.
After each round the experiment must be equal to an undisturbed one, candidate by candidate, and all
invariants of `evomerge doctor` must hold.  The last line is one JSON object: `rounds`, `equal`, `lost`
(candidates that are not as they must be), `doubled` (that ended twice), `broken` (invariants).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import structlog

from benchmarks.breaking.controller import LEASE_SECONDS, controller
from benchmarks.breaking.experiments import add_experiment, candidates_of, outcome_of, settled_twice
from benchmarks.measuring.postgres import PostgresServer, postgres
from service.cli.installation.invariants_check import judged
from service.experiment.status import ENDED
from service.store.database import DATABASE_AWAY, Database
from service.store.repository import Repository

PACE = 0.01  # seconds that an answer takes
LONGEST_ROUND = 180.0
ROOT = Path(__file__).parent.parent


@dataclass(slots=True)
class Field:
    """What a fault may break: controllers over one database, and the database's server."""

    server: PostgresServer
    database: Database
    url: str
    rng: random.Random
    controllers: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401 - the controller's
        """Starts a controller, and returns once it looks for work."""
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.breaking.controller", self.url,
             json.dumps({"pace": PACE} | options)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.controllers.append(process)
        if process.stdout is not None:
            process.stdout.readline()
        return process

    def pause(self, most: float = 1.5) -> None:
        """Lets a random time pass in which the search goes on."""
        time.sleep(self.rng.uniform(0.1, most))

    def clear(self) -> None:
        """Kills all controllers that are left."""
        for process in self.controllers:
            process.kill()
            process.wait()
        self.controllers.clear()


def killed(on: Field) -> None:
    """Kills a controller at a random moment, and another after it."""
    for _ in range(2):
        process = on.start()
        on.pause()
        process.kill()
        process.wait()
    on.start()


def killed_at_a_place(on: Field) -> None:
    """Has a controller die at one begin or commit of a transaction."""
    process = on.start(kill_at=on.rng.randrange(1, 80))
    deadline = time.monotonic() + LEASE_SECONDS * 5
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    on.start()


def frozen(on: Field) -> None:
    """Stops a controller until another one has long taken over, and lets it go on."""
    process = on.start()
    on.pause()
    process.send_signal(signal.SIGSTOP)
    on.start()
    time.sleep(LEASE_SECONDS * 3)
    process.send_signal(signal.SIGCONT)


def cut_after_commit(on: Field) -> None:
    """Has a controller not learn that a commit took place."""
    on.start(fail_after_commit=on.rng.randrange(2, 40))


def two_controllers(on: Field) -> None:
    """Starts two, and kills the first of them."""
    first = on.start()
    on.start()
    on.pause()
    first.kill()


def postgres_restarted(on: Field) -> None:
    """Restarts the server of the database under load, twice."""
    on.start()
    for _ in range(2):
        on.pause()
        on.server.restart()


def workers_lost_and_lying(on: Field) -> None:
    """Has workers lose assignments, and answer what they were not asked."""
    on.start(mischief=True)


FAULTS: dict[str, Callable[[Field], None]] = {
    "killed": killed,
    "killed_at_a_place": killed_at_a_place,
    "frozen": frozen,
    "cut_after_commit": cut_after_commit,
    "two_controllers": two_controllers,
    "postgres_restarted": postgres_restarted,
    "workers_lost_and_lying": workers_lost_and_lying,
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a round has come to."""

    fault: str
    equal: bool
    lost: int
    doubled: int
    broken: tuple[str, ...]
    seconds: float


def ended(database: Database, key: UUID, deadline: float) -> bool:
    """Waits for an experiment's end; the database may be away in between."""
    while time.monotonic() < deadline:
        try:
            with database.reading() as session:
                if Repository(session).experiment(key).status in ENDED:
                    return True
        except DATABASE_AWAY:
            pass
        time.sleep(0.1)
    return False


def undisturbed() -> tuple[dict[int, Any], tuple[Any, ...]]:
    """Returns what the experiment comes to where nothing is broken."""
    with TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/evomerge.db")
        database.upgrade()
        key = add_experiment(database, "undisturbed")
        runner = controller(database)
        while runner.run_next():
            pass
        found = candidates_of(database, key), outcome_of(database, key)
        database.close()
        return found


def play(on: Field, fault: str, name: str, expected: tuple[dict[int, Any], tuple[Any, ...]]) -> Found:
    """Plays a round, and compares its end."""
    started = time.monotonic()
    key = add_experiment(on.database, name)
    FAULTS[fault](on)
    has_ended = ended(on.database, key, started + LONGEST_ROUND)
    on.clear()
    found = candidates_of(on.database, key)
    lost = sum(found.get(number) != candidate for number, candidate in expected[0].items())
    equal = has_ended and found == expected[0] and outcome_of(on.database, key) == expected[1]
    broken = tuple(verdict.invariant.id for verdict in judged(on.database) if not verdict.holds)
    doubled = settled_twice(on.database, key)
    return Found(fault, equal, lost, doubled, broken, time.monotonic() - started)


def main() -> None:
    """Plays the rounds and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=len(FAULTS), help="fault after fault, in turn")
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which things break")
    parser.add_argument("--only", choices=sorted(FAULTS), help="this fault alone")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    names = [options.only] if options.only else list(FAULTS)
    expected = undisturbed()
    rounds: list[Found] = []
    with postgres() as server:
        url = server.new_url()
        database = Database(url)
        database.upgrade()
        for turn in range(options.rounds):
            on = Field(server, database, url, random.Random(f"{options.seed} {turn}"))  # noqa: S311
            try:
                rounds.append(play(on, names[turn % len(names)], f"round {turn}", expected))
            finally:
                on.clear()
            print(rounds[-1])
        database.close()
    result = {
        "rounds": len(rounds),
        "equal": sum(one.equal for one in rounds),
        "lost": sum(one.lost for one in rounds),
        "doubled": sum(one.doubled for one in rounds),
        "broken": sorted({key for one in rounds for key in one.broken}),
        "unequal": [one.fault for one in rounds if not one.equal],
        "machine": {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)},
    }
    print(json.dumps(result))
    sys.exit(0 if result["equal"] == len(rounds) and not result["broken"] else 1)


if __name__ == "__main__":
    main()
