"""What an optimizer costs: ask and tell against genome size and history, and recovery by replay.

    python -m benchmarks.search_costs [--quick] [--only OPTIMIZER ...] [--json FILE] [--record]

Optimizers are told a synthetic history (random genomes, a sphere's fitness, items and measures), then
some generations are asked for and told, and timed: the median over generations of the time that one
candidate took, ask and tell together.  Recovery is a new optimizer that is told 10,000 candidates and
asked for one, as a restarted controller does.  Times are CPU seconds of one process, so that what else
runs on the machine counts for little; importing libraries is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from benchmarks.measuring.report import Record, print_result, print_table
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
LIMITS = {
    "ask_tell_ms_up_to_200_genes": f"at most {GOAL_MILLISECONDS:g}",
    "recovery_s_of_10000": f"at most {GOAL_RECOVERY:g}",
}


def measure(names: Sequence[str] = (*OPTIMIZERS, *FOREIGN), *, quick: bool) -> list[dict[str, Any]]:
    """Returns one row per optimizer and problem size.

    Every row has `optimizer`, `kind` ("genes", "history" or "recovery"), `genes`, `history` and `value`:
    milliseconds per candidate, for a recovery seconds in all; None where it was not measured, and
    `note` says why.  `goal` is what the value may be at most, None where no goal is set.
    """
    sizes = [("genes", genes, USUAL_HISTORY) for genes in (QUICK_GENES if quick else GENES)]
    sizes += [("history", USUAL_GENES, history) for history in (QUICK_HISTORIES if quick else HISTORIES)]
    sizes += [("recovery", genes, RECOVERED) for genes in ((20,) if quick else (20, GOAL_GENES))]
    # Size by size, so that a long history is made once and forgotten.
    return [_row(name, *size) for size in sizes for name in names]


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
    told = _history(genes, history)
    _built(name, genes).ask([0])  # importing libraries is no part of it
    optimizer = _built(name, genes)
    started = process_time()
    optimizer.tell(told)
    optimizer.ask([history])
    return process_time() - started


def _per_candidate(name: str, genes: int, history: int) -> float:
    """Returns the milliseconds that one candidate costs, after this history."""
    optimizer = _built(name, genes)
    optimizer.tell(_history(genes, history))
    optimizer.ask([history])
    seconds, number = [], history
    for _ in range(GENERATIONS):
        numbers = range(number, number + optimizer.population)
        started = process_time()
        asked = optimizer.ask(numbers)
        spent = process_time() - started
        told = [_evaluated(n, np.array(g, dtype=float)) for n, g in zip(numbers, asked, strict=True)]
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


@lru_cache(maxsize=1)
def _history(genes: int, count: int) -> list[Evaluation]:
    """Returns evaluations of random genomes; the first eight are baselines."""
    genomes = np.random.default_rng(1).random((count, genes)) * 1.5
    told = [_evaluated(number, genome) for number, genome in enumerate(genomes)]
    return [replace(e, baseline=True) for e in told[:8]] + told[8:]


def _evaluated(number: int, genome: np.ndarray[Any, np.dtype[np.float64]]) -> Evaluation:
    half = len(genome) // 2
    skills = [float(1 - np.mean((part - 0.8) ** 2)) for part in (genome[:half], genome[half:])]
    right = [round(skill * ITEMS) for skill in skills]
    return Evaluation(
        number,
        tuple(genome.tolist()),
        (skills[0], skills[1]),
        items=tuple(map(_answers, right)),
        measures=(float(genome[::2].mean()), float(genome[1::2].mean())),
        margins=tuple(map(_margins, right)),
    )


@cache
def _answers(right: int) -> tuple[float, ...]:
    """Returns the items of a model that answers so many of them; shared, or 100,000 would not fit."""
    return tuple((np.arange(ITEMS) < right).astype(float).tolist())


@cache
def _margins(right: int) -> tuple[float, ...]:
    """Returns by how much such a model leads or lags on each item."""
    return tuple(((right - np.arange(ITEMS) - 0.5) / ITEMS).tolist())


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """Prints a table per kind, in which every optimizer has a row, and which goals were missed."""
    _print_kind(rows, "genes", f"Ask + tell, ms per candidate, {USUAL_HISTORY} told; by genes")
    _print_kind(rows, "history", f"Ask + tell, ms per candidate, {USUAL_GENES} genes; by candidates told")
    _print_kind(rows, "recovery", f"Recovery, seconds for {RECOVERED:,} candidates; by genes")
    for note in sorted({f"-: {row['note']}" for row in rows if row["note"]}):
        print(note)
    missed = [r for r in rows if r["value"] is not None and r["goal"] is not None and r["value"] > r["goal"]]
    print(f"\n{len(missed)} of {sum(r['goal'] is not None for r in rows)} goals missed")
    for row in missed:
        size = f"{row['genes']} genes, {row['history']} told"
        print(f"  {row['optimizer']}, {row['kind']}, {size}: {row['value']:.2f}")


def _print_kind(rows: Sequence[dict[str, Any]], kind: str, title: str) -> None:
    column = "history" if kind == "history" else "genes"
    rows = [row for row in rows if row["kind"] == kind]
    sizes = sorted({row[column] for row in rows})
    values = {(r["optimizer"], r[column]): "-" if r["value"] is None else f"{r['value']:.2f}" for r in rows}
    names = list(dict.fromkeys(row["optimizer"] for row in rows))
    print_table(
        title,
        ("optimizer", *(f"{size:,}" for size in sizes)),
        [(name, *(values[name, size] for size in sizes)) for name in names],
    )


def worst(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Returns the largest values for which there is a goal: milliseconds and, of recovery, seconds."""
    with_goal = [row for row in rows if row["goal"] is not None and row["value"] is not None]
    recovered = [row["value"] for row in with_goal if row["kind"] == "recovery"]
    asked = [row["value"] for row in with_goal if row["kind"] != "recovery"]
    return {
        "ask_tell_ms_up_to_200_genes": round(max(asked), 3),
        "recovery_s_of_10000": round(max(recovered), 3),
    }


def main() -> None:
    """Measures and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument("--only", nargs="+", metavar="OPTIMIZER", help="these, nevergrad's by nevergrad:NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    parser.add_argument("--record", action="store_true", help="add the tables to benchmarks/RESULTS.md")
    options = parser.parse_args()
    started = process_time()
    rows = measure(options.only or (*OPTIMIZERS, *FOREIGN), quick=options.quick)
    with Record() as record:
        print_rows(rows)
    if options.record:
        command = f"python -m benchmarks.search_costs {' '.join(sys.argv[1:])}".replace(
            " --record", ""
        ).strip()
        record.append_to(Path(__file__).with_name("RESULTS.md"), "Costs of asking and telling", command)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    took = round(process_time() - started)
    print_result({}, limit=LIMITS, spread={}, worst=worst(rows), cpu_seconds=took, costs=rows)


if __name__ == "__main__":
    main()
