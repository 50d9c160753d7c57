"""What it costs to run two experiments at once, and what the shorter one gains.

    python -m benchmarks.sharing [--quick]

The controller, the database, the searches and the sharing of the workers are real; the workers are
simulated: getting ready and scoring are pauses, so that the machine's load does not count.  A long
experiment begins, a short one with other parents follows: first one after the other, then both at once.
`together` is the time until both have ended over that of one after the other; `sooner` says how many times
sooner the short one ends; `first` its first score, in evaluations after it was submitted.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from uuid import UUID

from benchmarks.measuring.long_history import SHAPE, facts_of
from benchmarks.measuring.report import print_result, print_table
from benchmarks.measuring.simulated_cluster import SimulatedCluster, connection_to
from benchmarks.merge_models import Size, make_models
from service.controller.runners import Runners
from service.experiment.spec import ExperimentSpec
from service.experiment.status import ENDED
from service.settings import Settings
from service.specification.baselines import PlannedBaseline, baselines_for
from service.specification.planning import build_pool
from service.store.database import Database
from service.store.repository import Repository
from workers.pools.ray_pool import RayPool
from workers.protocol.messages import Assignment

READY_SECONDS = 1.0
LONG, SHORT = 160, 24  # candidates
HEAD_START = 2.0  # seconds
TINY = Size(hidden=64, inner=128, layers=4, vocabulary=100)


def work_seconds(assignment: Assignment) -> float:
    """Returns 0.4 to 0.8 seconds, by the recipe."""
    return 0.4 + 0.4 * int(assignment.recipe.digest[:4], 16) / 16**4


def submit(database: Database, name: str, folders: list[Path], candidates: int) -> UUID:
    """Puts an experiment into the queue."""
    base, *parents = (str(folder) for folder in folders)
    content = {
        "name": name,
        "parents": parents,
        "base": base,
        "objectives": [{"task": "simulated"}],
        "optimizer": {"algorithm": "cma_es", "population": 8, "steady_state": True},
        "budget": {"candidates": candidates},
        "baselines": {"standard_recipes": False},
        "examination": {"finalists": 2, "mean": False},
    }
    spec = ExperimentSpec.model_validate(content)
    planned = [
        PlannedBaseline(label=found.label, recipe=found.recipe, kind=found.kind)
        for found in baselines_for(spec, build_pool(spec, SHAPE))
    ]
    with database.session() as session:
        repository = Repository(session)
        facts = facts_of(["simulated"], planned)
        return repository.create_experiment(name, spec.model_dump(mode="json"), facts=facts).id


class Course:
    """One run of both experiments."""

    def __init__(self, files: Path, workers: int, at_once: int | None) -> None:
        self.files, self.workers = files, workers
        self.settings = Settings(home=files, max_experiments=at_once, lease_seconds=60.0)
        self.cluster = SimulatedCluster(cpus=workers, ready_seconds=READY_SECONDS, work_seconds=work_seconds)

    def run(self) -> tuple[float, float, float]:
        """Returns the seconds until both have ended, until the short one has, and until its first score."""
        with tempfile.TemporaryDirectory() as folder:
            database = Database(f"sqlite:///{folder}/evomerge.db")
            database.upgrade()
            pool = RayPool(self.files, connection=connection_to(self.cluster))
            runners = Runners(database, pool, self.settings)
            runners.start()
            try:
                return self._watch(database, runners)
            finally:
                runners.stop()
                database.close()

    def _watch(self, database: Database, runners: Runners) -> tuple[float, float, float]:
        started = monotonic()
        folders = [make_models(self.files / name, TINY) for name in ("one", "other")]
        long = submit(database, "long", folders[0], LONG * self.workers // 2)
        runners.wake()
        sleep(HEAD_START)
        short, submitted = submit(database, "short", folders[1], SHORT * self.workers // 2), monotonic()
        runners.wake()
        first = _await(lambda: _settled(database, short) > 0) - submitted
        ended = _await(lambda: _ended(database, short)) - submitted
        return max(_await(lambda: _ended(database, long)) - started, ended), ended, first


def _await(condition: Callable[[], bool]) -> float:
    """Returns the moment when something is so."""
    while not condition():
        sleep(0.05)
    return monotonic()


def _ended(database: Database, key: UUID) -> bool:
    with database.reading() as session:
        return Repository(session).experiment(key).status in ENDED


def _settled(database: Database, key: UUID) -> int:
    with database.reading() as session:
        counts = Repository(session).counts(key)
    return sum(count for status, count in counts.items() if status != "proposed")


def main() -> None:
    """Measures with two workers, and with eight."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two workers alone")
    workers = (2,) if parser.parse_args().quick else (2, 8)
    rows, ratios = [], {}
    mean = 0.6
    with tempfile.TemporaryDirectory() as files:
        for count in workers:
            serial, after, _ = Course(Path(files), count, 1).run()
            both, beside, first = Course(Path(files), count, None).run()
            rows.append(
                (count, f"{serial:.1f}", f"{both:.1f}", f"{after:.1f}", f"{beside:.1f}", f"{first:.1f}")
            )
            ratios[f"together_{count}"] = both / serial
            ratios[f"sooner_{count}"] = after / beside
            ratios[f"first_{count}"] = first / mean
    header = ("workers", "one after the other s", "both s", "short one after s", "beside s", "first score s")
    print_table("Two experiments", header, rows)
    print_result(ratios, limit={"workers": "simulated", "evaluation": "0.4 to 0.8 s"}, spread={})


if __name__ == "__main__":
    main()
