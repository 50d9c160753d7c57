"""Running: every run that is not recorded yet, in as many processes as there are cores."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers.utils import logging

from benchmarks.peers.environments import PeerUnavailableError
from benchmarks.searching.suite.course import Judge
from benchmarks.searching.suite.ours import search_ours
from benchmarks.searching.suite.peers import PEERS, search_peer
from benchmarks.searching.suite.problem import Problem
from benchmarks.searching.suite.records import Record, Records, Run, run_of
from benchmarks.searching.suite.stage import Stage
from benchmarks.searching.suite.table import PROBLEMS
from service.errors import InvalidSpecError

RECORDS = "runs.jsonl"
_stages: list[Stage] = []  # of this process: the last problem's


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run."""

    problems: tuple[Problem, ...]
    contestants: tuple[str, ...]
    seeds: int
    budget: int
    folder: Path
    workers: int


@dataclass(slots=True)
class Results:
    """What came of it.

    Attributes:
        records: By problem and contestant, in the order of seeds.
        absent: Why a peer could not take part.
    """

    records: dict[tuple[str, str], list[Record]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def run_suite(order: Order) -> Results:
    """Runs all that is not recorded yet; may be interrupted at any time and called again."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process of the pool is left behind
    records, results = Records(order.folder / RECORDS), Results()
    results.absent = _absent(order.contestants)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(order.workers, mp_context=context, initializer=_begin) as pool:
        try:
            for problem in order.problems:
                _run_problem(problem, order, records, results, pool)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results


def _absent(contestants: Sequence[str]) -> dict[str, str]:
    """Makes the peers' environments; returns why some could not be made."""
    found: dict[str, str] = {}
    for name in contestants:
        try:
            if name in PEERS:
                PEERS[name].python()
        except PeerUnavailableError as error:
            found[name] = str(error)
            print(f"missing: {name}: {error}", file=sys.stderr)
    return found


def _run_problem(
    problem: Problem, order: Order, records: Records, results: Results, pool: ProcessPoolExecutor
) -> None:
    torch.set_num_threads(1)
    problem.make(order.folder / "families")  # once, before several processes want it
    present = [name for name in order.contestants if name not in results.absent]
    runs = [
        run_of(problem, order.folder, name, seed, order.budget)
        for seed in range(order.seeds)
        for name in present
    ]
    futures = {pool.submit(_run, run, order.folder): run for run in runs if records.get(run) is None}
    for done, record in enumerate(_finished(futures, results), 1):
        records.add(record)
        run, end = record.run, record.looks[-1].held_out if record.looks else 0.0
        print(
            f"{run.problem}: {run.contestant}, seed {run.seed}: {end:.3f} ({done} of {len(futures)})",
            file=sys.stderr,
        )
    for run in runs:
        if (known := records.get(run)) is not None:
            results.records.setdefault((run.problem, run.contestant), []).append(known)


def _finished(futures: dict[Future[Record], Run], results: Results) -> Iterator[Record]:
    for future in as_completed(futures):
        try:
            yield future.result()
        except (PeerUnavailableError, InvalidSpecError, BrokenPipeError) as error:
            run = futures[future]
            results.absent[f"{run.contestant} on {run.problem}"] = f"{type(error).__name__}: {error}"


def _begin() -> None:
    """Readies a process."""
    torch.set_num_threads(1)
    logging.disable_progress_bar()


def _run(run: Run, folder: Path) -> Record:
    """Runs one search and looks at it."""
    stage = _stage_of(PROBLEMS[run.problem], folder)
    if run.contestant in PEERS:
        searched = search_peer(stage, PEERS[run.contestant], run.seed, run.budget)
    else:
        searched = search_ours(stage, run.contestant, run.seed, run.budget)
    return Record(run, tuple(Judge(stage, searched).looks()), searched.ending)


def _stage_of(problem: Problem, folder: Path) -> Stage:
    """Returns this process's stage; one problem's parents are held at a time."""
    if _stages and _stages[0].problem.name != problem.name:
        _stages.pop().close()
    if not _stages:
        _stages.append(Stage(problem, folder))
    return _stages[0]
