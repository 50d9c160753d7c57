"""`python -m benchmarks.search --suite` and `--gate`."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Collection

from benchmarks.searching.suite.course import STEP
from benchmarks.searching.suite.peers import PEERS
from benchmarks.searching.suite.report import MARKS, report
from benchmarks.searching.suite.running import Order, Results, run_suite
from benchmarks.searching.suite.statistics import Curve, paired
from benchmarks.searching.suite.table import GATE, PROBLEMS
from service.optimizers import AUTO, OPTIMIZERS

SEEDS, BUDGET = 10, 200
QUICK_SEEDS, QUICK_BUDGET = 1, 30
GATE_SEEDS, GATE_BUDGET = 3, 100
FEW = (AUTO, "cma_es", "pycma")
_TOLERANCE, _LEAST = 2.0, 0.01  # standard errors, and held-out score, that the gate forgives


def order_of(options: argparse.Namespace) -> Order:
    """Returns what the command line asks for.

    Raises:
        SystemExit: It names a problem or contestant that does not exist.
    """
    every = (AUTO, *OPTIMIZERS, *PEERS)
    seeds, budget, contestants, problems = SEEDS, BUDGET, every, tuple(PROBLEMS)
    if options.gate:
        seeds, budget, contestants, problems = GATE_SEEDS, GATE_BUDGET, FEW, GATE
    elif options.quick:
        seeds, budget, contestants = QUICK_SEEDS, QUICK_BUDGET, FEW
    if options.problems:
        problems = _known(options.problems, PROBLEMS, "problem")
    if options.contestants:
        contestants = _known(options.contestants, every, "contestant")
    return Order(
        tuple(PROBLEMS[name] for name in problems),
        contestants,
        options.seeds or seeds,
        STEP * round((options.budget or budget) / STEP),
        options.out / "suite",
        options.workers or os.cpu_count() or 1,
    )


def run_command(options: argparse.Namespace) -> int:
    """Runs the suite or the gate; returns the exit code: 1 where the gate is not passed."""
    order = order_of(options)
    results = run_suite(order)
    failures = gate_failures(order, results) if options.gate else []
    for failure in failures:
        print(f"\nGATE: {failure}")
    if options.gate and not failures:
        print("\nGATE: passed")
    report(order, results)
    return 1 if failures else 0


def gate_failures(order: Order, results: Results) -> list[str]:
    """Returns where `auto` is worse than a contestant beside it, by more than the seeds' noise explains."""
    found = []
    for problem in order.problems:
        records = {name: results.records.get((problem.name, name), []) for name in order.contestants}
        curves = {name: Curve.of(of, order.budget) for name, of in records.items() if of}
        if AUTO not in curves or len(curves) < 2:
            found.append(f"{problem.name}: nothing to compare; {results.absent}")
            continue
        for name in set(curves) - {AUTO}:
            for mark in (mark for mark in MARKS if mark <= order.budget):
                gain, error = paired(curves[AUTO], curves[name], mark)
                if gain < -max(_TOLERANCE * (0.0 if math.isnan(error) else error), _LEAST):
                    found.append(f"{problem.name} at {mark}: auto - {name} = {gain:+.3f} ± {error:.3f}")
    return sorted(found)


def _known(text: str, names: Collection[str], what: str) -> tuple[str, ...]:
    found = tuple(text.split(","))
    for name in found:
        if name not in names and not name.startswith("nevergrad:"):
            raise SystemExit(f"there is no {what} {name!r}; there are {', '.join(names)}")
    return found
