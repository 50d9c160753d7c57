"""How the controller's costs grow: 1,000 simulated workers, and candidates up to 100,000.

    python -m benchmarks.scale [--quick] [--record]

The search loop runs as it is, over the database's journal (SQLite), with workers that answer at once.  What
one candidate costs (ask, claim, tell and what is written of them) is timed over the run: the exponent says
how it grows with the number of candidates that are already there; a goal of .05 is 1.4 times the cost after
a thousandfold growth.  Then the run is taken up again by a new controller, and asked what the pages and
those who follow events ask of the database; HTTP and the browser are not in it.  Times are processor
seconds of this process where nothing else is said.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from uuid import UUID

import numpy as np

from benchmarks.measuring.report import Record, print_result, print_table
from benchmarks.storing.instant_workforce import InstantWorkforce
from benchmarks.storing.service_side import begun, loop_over
from service.store.database import Database
from service.store.repository import Repository
from workers.protocol.messages import Assignment

WORKERS, QUICK_WORKERS = 1_000, 100
CANDIDATES, QUICK_CANDIDATES = 100_000, 5_000
READS = 200
CLIENTS = 500
LIMITS = {
    "exponent": "at most 0.05",
    "memory_mb": "at most 500",
    "restart_s": "at most 5",
    "read_p99_ms": "at most 300",
    "follow_p99_ms": "at most 500",
}


class Clocked(InstantWorkforce):
    """Notes when, in processor seconds, each candidate was handed out."""

    def __init__(self, slots: int) -> None:
        super().__init__(slots, ["sphere"])
        self.moments: list[float] = []

    def submit(self, assignment: Assignment) -> None:
        """Notes the moment, and scores."""
        self.moments.append(process_time())
        super().submit(assignment)


def exponent_of(moments: list[float], workers: int) -> float:
    """Returns the p of a cost per candidate that grows as n^p; the first round of the workers is left out.

    Args:
        moments: When each candidate was handed out, in seconds.
        workers: At once; costs are means over as many candidates.
    """
    cuts = np.arange(workers, len(moments), workers)
    if len(cuts) < 3:
        raise ValueError(f"{len(moments)} candidates are too few for {workers} workers")
    seconds = np.diff(np.asarray(moments)[cuts])
    return float(np.polyfit(np.log(cuts[1:]), np.log(np.maximum(seconds, 1e-9)), 1)[0])


def resident_mb() -> float:
    """Returns the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def p99_ms(run: Callable[[int], object], times: int) -> float:
    """Returns the 99th percentile of a call's milliseconds."""
    taken = []
    for turn in range(times):
        started = perf_counter()
        run(turn)
        taken.append((perf_counter() - started) * 1000)
    return quantiles(taken, n=100)[98]


def reads(database: Database, key: UUID, candidates: int) -> dict[str, float]:
    """Returns how long the pages' questions take, as 99th percentiles in milliseconds."""

    def ask(question: Callable[[Repository, int], object]) -> Callable[[int], object]:
        def run(turn: int) -> object:
            with database.reading() as session:
                return question(Repository(session), turn)

        return run

    questions: dict[str, Callable[[Repository, int], object]] = {
        "list": lambda r, _: r.experiments(limit=50),
        "candidates": lambda r, turn: r.candidates(key, after=turn * candidates // READS, limit=50),
        "candidate": lambda r, turn: r.candidate(key, turn * candidates // READS),
        "progress": lambda r, _: (r.last_generation(key), r.counts(key), r.course(key, most=500)),
    }
    return {name: p99_ms(ask(question), READS) for name, question in questions.items()}


def follow(database: Database, key: UUID) -> float:
    """Returns how long, at the 99th percentile, a client waits that asks for the newest events."""
    with database.reading() as session:
        last = Repository(session).last_event()

    def run(_: int) -> object:
        with database.reading() as session:
            return Repository(session).events(experiment_id=key, after=last - 50)

    return p99_ms(run, CLIENTS)


def measure(workers: int, candidates: int) -> dict[str, float]:
    """Returns all figures of one run."""
    with TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/evomerge.db")
        database.upgrade()
        search = begun(database, "scale", candidates=candidates, seed=0)
        force, started = Clocked(workers), process_time()
        loop_over(database, search, force, in_flight=workers).run()
        spent, memory = process_time() - started, resident_mb()
        started = process_time()
        loop_over(database, search, InstantWorkforce(workers, ["sphere"]), in_flight=workers).run()
        found = {
            "exponent": exponent_of(force.moments, workers),
            "ms_per_candidate": spent / candidates * 1000,
            "memory_mb": memory,
            "restart_s": process_time() - started,
        }
        by_question = reads(database, search.key, candidates)
        found |= {f"read_p99_ms_{name}": value for name, value in by_question.items()}
        found |= {"read_p99_ms": max(by_question.values()), "follow_p99_ms": follow(database, search.key)}
        database.close()
        return found


def main() -> None:
    """Measures and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="100 workers and 5,000 candidates")
    parser.add_argument("--record", action="store_true", help="add the table to benchmarks/RESULTS.md")
    options = parser.parse_args()
    size = (QUICK_WORKERS, QUICK_CANDIDATES) if options.quick else (WORKERS, CANDIDATES)
    found = measure(*size)
    rows = [(name, f"{value:.3g}", LIMITS.get(name, "")) for name, value in found.items()]
    with Record() as record:
        print_table(f"{size[0]:,} workers, {size[1]:,} candidates", ("figure", "value", "goal"), rows)
    if options.record:
        command = f"python -m benchmarks.scale{' --quick' if options.quick else ''}"
        title = "Many workers and candidates"
        record.append_to(Path(__file__).with_name("RESULTS.md"), title, command)
    print_result({}, limit=LIMITS, spread={}, worst={name: round(value, 3) for name, value in found.items()})
    sys.exit(0)


if __name__ == "__main__":
    main()
