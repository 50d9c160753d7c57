"""Our side of the search benchmark, in a process of its own: the service's loop, SQLite, one worker.

    python -m benchmarks.searching.service_side ORDER.json

Writes one JSON object per evaluation, baselines included.  Every experiment gets a database of its own,
so that no score of an earlier one is used again.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Any

import torch

from service.controller.runner import Runner
from service.log import configure_logging
from service.settings import Settings
from service.specification.spec_check import check_spec
from service.store.database import Database
from service.store.models import CandidateRow
from service.store.repository import Repository
from workers.pools.inline_pool import InlinePool


def run_experiment(
    raw: dict[str, Any], weights: dict[str, float], pool: InlinePool
) -> Iterator[dict[str, Any]]:
    """Submits an experiment, runs it to its end, and yields what each candidate came to.

    Raises:
        RuntimeError: The experiment did not succeed.
    """
    with TemporaryDirectory() as home:
        settings = Settings(home=Path(home), workforce="inline", workers=1)
        database = Database(settings.database)
        try:
            database.upgrade()
            ordered = time()
            checked = check_spec(raw, pool)
            with database.session() as session:
                spec = checked.spec.model_dump(mode="json")
                key = Repository(session).create_experiment(checked.spec.name, spec, facts=checked.facts).id
            Runner(database, pool, settings).run_next()
            with database.reading() as session:
                repository = Repository(session)
                experiment = repository.experiment(key)
                if experiment.status != "succeeded":
                    raise RuntimeError(f"{raw['name']} ended {experiment.status}: {experiment.failure}")
                rows = [row for row in repository.candidates(key) if row.settled_at is not None]
                yield from _trials(rows, weights, ordered)
        finally:
            database.close()


def _trials(rows: list[CandidateRow], weights: dict[str, float], ordered: float) -> Iterator[dict[str, Any]]:
    for place, row in enumerate(sorted(rows, key=lambda r: r.told if r.told is not None else r.number)):
        values = {e.benchmark: e.value for e in row.evaluations if e.split == "search"}
        if row.settled_at is None or set(values) != set(weights):
            continue
        yield {
            "evaluation": place,
            "seconds": row.settled_at.timestamp() - ordered,
            "ended": row.settled_at.timestamp(),
            "score": sum(weights[b] * v for b, v in values.items()) / sum(weights.values()),
            "recipe": json.dumps(row.recipe),
        }


def _last(trials: list[dict[str, Any]]) -> tuple[float, float]:
    """Returns when the last candidate was scored: since the order, and since 1970."""
    last = max(trials, key=lambda trial: float(trial["seconds"]))
    return last["seconds"], last["ended"]


def main() -> None:
    """Runs the first experiment twice for its start-up, then all of them."""
    began = float(os.environ["BENCH_BEGAN"])
    order = json.loads(Path(sys.argv[1]).read_text())
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    configure_logging()
    torch.set_num_threads(1)
    pool = InlinePool(threads=1)
    first = dict(order["specs"][0]["spec"]) | {
        "budget": {"candidates": 4},
        "optimizer": {"algorithm": "cma_es", "population": 4},
    }
    # What the same experiment takes longer in a process that has just begun: every run pays its own part.
    cold, warm = (_last(list(run_experiment(first, order["weights"], pool))) for _ in range(2))
    answers.write(json.dumps({"startup": cold[1] - began - warm[0]}) + "\n")
    for one in order["specs"]:
        for trial in run_experiment(one["spec"], order["weights"], pool):
            line = {"contestant": one["contestant"], "seed": one["spec"]["seed"]} | trial
            del line["ended"]
            answers.write(json.dumps(line) + "\n")
        answers.flush()
    pool.close()
    answers.close()
    os._exit(0)  # libraries' own threads may end a process that only wants to leave


if __name__ == "__main__":
    main()
