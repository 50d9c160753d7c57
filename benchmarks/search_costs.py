"""What an optimizer costs: ask and tell against genome size and history, and recovery by replay.

    python -m benchmarks.search_costs [--quick]

Optimizers are told a synthetic history (random genomes, a sphere's fitness, items and measures), then
some generations are asked for and told, and timed: the median over generations of the seconds that one
candidate took, ask and tell together.  Recovery is a new optimizer that is told 10,000 candidates and
asked for one, as a restarted controller does.  Times are CPU seconds of one process, so that what else
runs on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from search_spaces.genome import Axis, Real, Variable
from service.optimizers import (
    OPTIMIZERS,
    Evaluation,
    MeasureAxis,
    Optimizer,
    OptimizerSetup,
    optimizer_named,
)

GOAL_MILLISECONDS, GOAL_GENES = 5.0, 200  # ask + tell
GOAL_RECOVERY = 5.0  # seconds
RECOVERED = 10_000
FOREIGN = ("nevergrad:TwoPointsDE", "nevergrad:PSO", "nevergrad:OnePlusOne")
GENES, QUICK_GENES = (10, 50, 200, 1000, 5000), (10, 200)
HISTORIES, QUICK_HISTORIES = (100, 1000, 10_000, 100_000), (100, 1000)
USUAL_GENES, USUAL_HISTORY = 50, 200
GENERATIONS = 5
FULL_MATRICES = ("cma_es", "cma_me", "cma_mae", "model_glue")  # O(genes^3) beyond what anyone waits for
MOST_FOR_A_FULL_MATRIX = 1000
ITEMS = 100


def measure(quick: bool) -> list[dict[str, Any]]:
    """Returns one row per optimizer and problem size.

    Every row has `optimizer`, `kind` ("genes", "history" or "recovery"), `genes`, `history` and `value`:
    milliseconds per candidate, for a recovery seconds in all; None where it was not measured, and
    `note` says why.  `goal` is what the value may be at most, None where no goal is set.
    """
    sizes = [("genes", genes, USUAL_HISTORY) for genes in (QUICK_GENES if quick else GENES)]
    sizes += [("history", USUAL_GENES, history) for history in (QUICK_HISTORIES if quick else HISTORIES)]
    sizes += [("recovery", genes, RECOVERED) for genes in ((20,) if quick else (20, GOAL_GENES))]
    return [_row(name, *size) for name in (*OPTIMIZERS, *FOREIGN) for size in sizes]


def _row(name: str, kind: str, genes: int, history: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "optimizer": name, "kind": kind, "genes": genes, "history": history, "note": "", "value": None,
        "goal": GOAL_RECOVERY if kind == "recovery" else GOAL_MILLISECONDS if genes <= GOAL_GENES else None,
    }  # fmt: skip
    if name in FULL_MATRICES and genes > MOST_FOR_A_FULL_MATRIX:
        row["note"] = "a full covariance matrix; use separable_cma_es"
        return row
    row["value"] = (
        _recovery(name, genes, history) if kind == "recovery" else _per_candidate(name, genes, history)
    )
    return row


def _recovery(name: str, genes: int, history: int) -> float:
    """Returns the seconds that a new optimizer takes to go on where another one stood."""
    optimizer = _built(name, genes)
    told = _history(optimizer, history)
    optimizer.ask([0])  # importing libraries is no part of it
    optimizer = _built(name, genes)
    started = process_time()
    optimizer.tell(told)
    optimizer.ask([history])
    return process_time() - started


def _per_candidate(name: str, genes: int, history: int) -> float:
    """Returns the milliseconds that one candidate costs, after this history."""
    optimizer = _built(name, genes)
    optimizer.tell(_history(optimizer, history))
    optimizer.ask([history])
    seconds, number = [], history
    for _ in range(GENERATIONS):
        numbers = range(number, number + optimizer.population)
        started = process_time()
        asked = optimizer.ask(numbers)
        spent = process_time() - started
        told = [
            _evaluated(optimizer, n, np.array(g, dtype=float)) for n, g in zip(numbers, asked, strict=True)
        ]
        started = process_time()
        optimizer.tell(told)
        seconds.append((spent + process_time() - started) / len(numbers))
        number = numbers.stop
    return median(seconds) * 1000


def _built(name: str, genes: int) -> Optimizer:
    parents = 4
    variables: tuple[Variable, ...] = tuple(
        Real(f"weight {i}", 0.0, 1.5, 0.5, Axis("weight", i % parents, i // parents)) for i in range(genes)
    )
    kinship = np.eye(parents) + 0.6 * (np.indices((parents, parents)).sum(axis=0) % 2 == 0)
    return optimizer_named(name)(
        OptimizerSetup(
            variables,
            seed=0,
            weights=(1.0, 1.0),
            measures=(MeasureAxis("depth", 0.0, 1.5, 10), MeasureAxis("share", 0.0, 1.5, 10)),
            parents=parents,
            kinship=tuple(map(tuple, np.minimum(kinship, 1.0).tolist())),
        )
    )


def _history(optimizer: Optimizer, count: int) -> list[Evaluation]:
    """Returns evaluations of random genomes; the first eight are baselines."""
    genomes = np.random.default_rng(1).random((count, len(optimizer.variables))) * 1.5
    told = [_evaluated(optimizer, number, genome) for number, genome in enumerate(genomes)]
    return [replace(e, baseline=True) for e in told[:8]] + told[8:]


def _evaluated(
    optimizer: Optimizer, number: int, genome: np.ndarray[Any, np.dtype[np.float64]]
) -> Evaluation:
    half = len(genome) // 2
    skills = [float(1 - np.mean((part - 0.8) ** 2)) for part in (genome[:half], genome[half:])]
    items = tuple(tuple((np.arange(ITEMS) < skill * ITEMS).astype(float).tolist()) for skill in skills)
    measures = (float(genome[::2].mean()), float(genome[1::2].mean()))
    return Evaluation(
        number, tuple(genome.tolist()), (skills[0], skills[1]), items=items,
        measures=measures[: len(optimizer.setup.measures)],
    )  # fmt: skip


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """Prints a line per row, and which goals were missed."""
    for row in rows:
        unit = "s" if row["kind"] == "recovery" else "ms"
        value = row["note"] if row["value"] is None else f"{row['value']:.3f} {unit}"
        print(
            f"{row['optimizer']:24} {row['kind']:9} {row['genes']:5} genes {row['history']:7} told  {value}"
        )
    missed = [r for r in rows if r["value"] is not None and r["goal"] is not None and r["value"] > r["goal"]]
    print(f"{len(missed)} of {sum(r['goal'] is not None for r in rows)} goals missed")
    for row in missed:
        size = f"{row['genes']} genes, {row['history']} told"
        print(f"  {row['optimizer']}, {row['kind']}, {size}: {row['value']:.2f}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument("--json", metavar="FILE", help="write the rows there, too")
    options = parser.parse_args()
    rows = measure(options.quick)
    print_rows(rows)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
