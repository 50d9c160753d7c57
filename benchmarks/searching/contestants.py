"""Runs the contestants, each in a process and an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import time

from benchmarks.peers.environments import CONSTRAINTS, PeerUnavailableError, peer_python
from benchmarks.searching.problem import (
    WEIGHTS,
    Problem,
    Trial,
    spec_of,
    write_evolve_config,
    write_for_mergenetic,
)

PEERS = Path(__file__).parent.parent / "peers"
OFFLINE = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "GIT_PYTHON_REFRESH": "quiet",
}
EVOLVE_PACKAGES = ("mergekit[evolve]==0.1.5",)
# mergenetic's own pins name vLLM, bitsandbytes and gradio, which merging and scoring do without.
MERGENETIC_PACKAGES = (
    "mergekit==0.0.6",
    "transformers==4.45.2",
    "lm-eval==0.4.8",
    "pymoo==0.6.1.3",
    "pandas==2.2.2",
    "numpy<2.3",
    "accelerate==1.3.0",
    "gitpython",
    "fasttext-numpy2",
)
MERGENETIC = "mergenetic==0.1.1"
BASELINES = 11  # of generation 0 here: base, parents, averages and the usual recipes
POPULATION = 12  # of mergenetic's genetic algorithm: that which CMA-ES takes for 16 to 20 genes


@dataclass(slots=True)
class Told:
    """What a contestant came to.

    Attributes:
        startup: Seconds from the start of its process to the first run; added to every run's own.
        absent: Why it could not take part; None where it did.
        trials: By seed, in the order of evaluation.
    """

    name: str
    startup: float = 0.0
    absent: str | None = None
    trials: dict[int, list[Trial]] = field(default_factory=dict)

    @property
    def seconds_per_evaluation(self) -> float:
        """Wall-clock of the runs, without the start-up, over the number of evaluations."""
        runs = [run for run in self.trials.values() if run]
        return sum(run[-1].seconds for run in runs) / max(sum(map(len, runs)), 1)


def run_ours(
    problem: Problem, algorithms: Sequence[str], seeds: Sequence[int], budget: int, workers: int
) -> list[Told]:
    """Runs our optimizers through the service's loop, one process and one core per share of the seeds.

    `budget` counts what was evaluated before the search too: parents, average and usual recipes.
    """
    told = {name: Told(name) for name in algorithms}

    def run(share: int) -> None:
        mine = [seed for seed in seeds if seed % workers == share]
        if not mine:
            return
        specs = [
            {
                "contestant": name,
                "spec": spec_of(problem, f"{name.replace(':', '-')}-{seed}", name, seed, budget - BASELINES),
            }
            for seed in mine
            for name in algorithms
        ]
        order = problem.folder / f"ours-{share}.json"
        order.write_text(json.dumps({"specs": specs, "weights": dict(WEIGHTS)}))
        command = [sys.executable, "-m", "benchmarks.searching.service_side", str(order)]
        _note(_lines(command, problem, f"ours-{share}"), list(told.values()))

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, range(workers)))
    return list(told.values())


def run_evolve(problem: Problem, seeds: Sequence[int], budget: int, workers: int) -> Told:
    """Runs `mergekit-evolve` from disk to disk with a Ray worker per core: its fastest way here."""
    told = Told("mergekit-evolve")
    try:
        python = peer_python("mergekit-evolve", EVOLVE_PACKAGES)
        folder = problem.folder / "mergekit-evolve"
        config = write_evolve_config(problem, folder)
        arguments = [config, folder / "storage", problem.files.tasks, budget, workers, *seeds]
        command = [str(python), str(PEERS / "mergekit_evolve_search.py"), *map(str, arguments)]
        _note(_lines(command, problem, told.name), [told])
    except PeerUnavailableError as error:
        told.absent = str(error)
    return told


def run_mergenetic(problem: Problem, seeds: Sequence[int], budget: int, workers: int) -> Told:
    """Runs mergenetic's searcher, which keeps to one process and core: as many at a time as there are."""
    told = Told("mergenetic")

    def run(seed: int) -> None:
        folder = problem.folder / "mergenetic" / str(seed)
        order = write_for_mergenetic(problem, folder)
        order |= {"seeds": [seed], "evaluations": budget, "population": POPULATION, "folder": str(folder)}
        path = folder / "order.json"
        path.write_text(json.dumps(order))
        command = [str(python), str(PEERS / "mergenetic_search.py"), str(path)]
        _note(_lines(command, problem, f"mergenetic-{seed}"), [told])

    try:
        python = peer_python("mergenetic", MERGENETIC_PACKAGES)
        _install_without_dependencies(python)
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, seeds))
    except PeerUnavailableError as error:
        told.absent = str(error)
    return told


def _install_without_dependencies(python: Path) -> None:
    done = subprocess.run(
        [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--constraint",
            str(CONSTRAINTS),
            MERGENETIC,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PeerUnavailableError(done.stderr.strip()[-500:])


def _note(lines: Iterator[dict[str, object]], contestants: Sequence[Told]) -> None:
    """Takes down what a process writes; of several processes' start-ups the longest counts."""
    named = {told.name: told for told in contestants}
    for line in lines:
        if "startup" in line:
            for told in contestants:
                told.startup = max(told.startup, float(str(line["startup"])))
        else:
            trial = Trial(**line)  # type: ignore[arg-type]  # as the other process wrote it
            named[trial.contestant].trials.setdefault(trial.seed, []).append(trial)


def _lines(command: Sequence[str], problem: Problem, name: str) -> Iterator[dict[str, object]]:
    """Yields what a contestant writes.

    Raises:
        PeerUnavailableError: It ended with an error.
    """
    log = problem.folder / f"{name}.log"
    environment = os.environ | OFFLINE | {"BENCH_BEGAN": str(time())}
    foreign = command[0] != sys.executable
    if foreign:  # a peer shall not take our modules for libraries of the same name
        environment["PYTHONSAFEPATH"] = "1"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
            cwd=problem.folder if foreign else None,  # pycma leaves its logs where it is started
        ) as process,
    ):
        for line in process.stdout or ():
            if line.startswith("{"):
                yield json.loads(line)
    if process.returncode:
        raise PeerUnavailableError(f"{name} ended with {process.returncode}: {log.read_text()[-600:]}")
