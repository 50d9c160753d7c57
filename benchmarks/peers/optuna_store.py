"""Runs inside Optuna's environment: durable ask and tell over its RDBStorage.

Reads a JSON line per run (`url`, `study`, `trials`, `threads`, `genes`, `seed`), answers with a JSON line:
`seconds`, `finished` (trials that are complete in the database) and `values` (numbers stored of them).
"""

from __future__ import annotations

import json
import sys
from threading import Thread
from time import perf_counter
from typing import Any

import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Asks for and tells of the trials, and counts what is stored."""
    threads, genes = request["threads"], request["genes"]
    storage = optuna.storages.RDBStorage(request["url"], engine_kwargs={"pool_size": threads + 1})
    sampler = optuna.samplers.RandomSampler(seed=request["seed"])
    study = optuna.create_study(
        study_name=request["study"], storage=storage, sampler=sampler, direction="maximize"
    )

    def turn(count: int) -> None:
        for _ in range(count):
            trial = study.ask()
            genome = [trial.suggest_float(f"gene {n}", 0.0, 1.5) for n in range(genes)]
            study.tell(trial, -sum((gene - 0.8) ** 2 for gene in genome))

    started = perf_counter()
    workers = [Thread(target=turn, args=(request["trials"] // threads,)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = perf_counter() - started
    trials = optuna.load_study(study_name=request["study"], storage=storage).trials
    finished = [t for t in trials if t.state == optuna.trial.TrialState.COMPLETE and t.value is not None]
    return {
        "seconds": seconds,
        "finished": len(finished),
        "values": sum(len(trial.params) + 1 for trial in finished),
    }


def main() -> None:
    """Answers until there are no more requests."""
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
