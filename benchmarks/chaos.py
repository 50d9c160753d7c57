"""Breaks controllers, workers, Ray and the database under a search, and looks whether it ends as it must.

    python -m benchmarks.chaos [--rounds N] [--seed S] [--only FAULT]

Every round is one experiment on Postgres, with controllers as processes and one fault: killed at a random
moment or at one transaction's begin or commit, frozen until another has taken over, cut off between a commit
and its answer, two at once of which one is killed; Postgres restarted, stopped at once or killed with -9
under load; its disk full, all connections taken; workers that are lost, hang, lie or answer NaN; and, with
workers in Ray's processes, its raylet, its head or a worker killed, and an evaluation that hangs.
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
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from benchmarks.breaking.experiments import add_experiment
from benchmarks.breaking.faults import FAULTS, Fault
from benchmarks.breaking.field import Field
from benchmarks.breaking.ray_faults import RAY_FAULTS
from benchmarks.breaking.ray_workers import write_parents
from benchmarks.breaking.rounds import Found, play, undisturbed
from benchmarks.measuring.postgres import postgres
from service.store.database import Database

ALL_FAULTS: dict[str, Fault] = {**FAULTS, **RAY_FAULTS}
MANNERS = {"workers_without_numbers": "refused"}  # of the workers of the undisturbed run


def rounds_of(names: Sequence[str], rounds: int, seed: int) -> list[Found]:
    """Plays so many rounds, fault after fault, and prints what came of each."""
    found: list[Found] = []
    with postgres() as server, TemporaryDirectory(prefix="chaos-") as place:
        folder = write_parents(Path(place))
        expected = {
            manner: undisturbed(manner=manner, folder=folder)
            for manner in {MANNERS.get(name, "honest") for name in names}
        }
        url = server.new_url()
        database = Database(url)
        database.upgrade()
        for turn in range(rounds):
            name = names[turn % len(names)]
            key = add_experiment(database, f"round {turn}", folder=folder)
            rng = random.Random(f"{seed} {turn}")  # noqa: S311 - moments, no secrets
            on = Field(server, database, url, rng, key, folder)
            try:
                found.append(play(on, name, ALL_FAULTS[name], expected[MANNERS.get(name, "honest")]))
            finally:
                on.clear()
            print(found[-1], flush=True)
        database.close()
    return found


def main() -> None:
    """Plays the rounds and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, help="fault after fault, in turn; one of each unless given")
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which things break")
    parser.add_argument("--only", choices=sorted(ALL_FAULTS), nargs="+", help="these faults alone")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    names = options.only or list(ALL_FAULTS)
    rounds = rounds_of(names, options.rounds or len(names), options.seed)
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
