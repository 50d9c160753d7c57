"""What the suite prints: a table per problem, the profile over problems, and the last line."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.measuring.report import print_result, print_table
from benchmarks.searching.suite.peers import PEERS
from benchmarks.searching.suite.problem import Problem
from benchmarks.searching.suite.records import Record
from benchmarks.searching.suite.running import Order, Results
from benchmarks.searching.suite.statistics import (
    Curve,
    evaluations_ratio,
    is_first,
    mean_and_error,
    paired,
    peer_level,
    ranks,
)
from service.experiment.candidate import CandidateKind
from service.optimizers import AUTO

_GENERATION_0 = [kind.value for kind in CandidateKind if kind.is_baseline]
MARKS = (25, 50, 100, 200)
LIMITS: Mapping[str, object] = {
    "median": "at least 2",
    "each problem": "at least 0.91",
    "first": "auto is first or within one standard error of the first, on every problem at every mark",
}
Curves = dict[str, Curve]


def report(order: Order, results: Results) -> dict[str, float]:
    """Prints everything; returns the ratios of the last line."""
    marks = [mark for mark in MARKS if mark < order.budget] + [order.budget]
    by_problem = {p.name: _curves(p, order, results) for p in order.problems}
    for problem in order.problems:
        _print_problem(problem, by_problem[problem.name], marks, results)
    _print_profile(by_problem, order.contestants, marks)
    for name, why in results.absent.items():
        print(f"\nMISSING: {name} took no part: {why}")
    return _print_last_line(by_problem, order, marks, results)


def _curves(problem: Problem, order: Order, results: Results) -> Curves:
    found = {name: results.records.get((problem.name, name), []) for name in order.contestants}
    return {name: Curve.of(records, order.budget) for name, records in found.items() if records}


def _peers(curves: Curves) -> Curves:
    return {name: curve for name, curve in curves.items() if name in PEERS}


def _print_problem(problem: Problem, curves: Curves, marks: Sequence[int], results: Results) -> None:
    peers = _peers(curves)
    level = peer_level(peers) if peers else math.nan
    against = max(peers, key=lambda name: float(peers[name].mean[-1]), default=None)
    rows = [
        (
            name,
            len(curve.seeds),
            *(_with_error(*mean_and_error(curve.at(mark))) for mark in marks),
            "" if against in (None, name) else _signed(*paired(curve, curves[against], marks[-1])),
            _number(curve.evaluations_to(level))
            + " *" * by_generation_0(results.records[problem.name, name], curve.evaluations_to(level)),
            _number(curve.seconds_to(level)),
            _ends(results.records[problem.name, name]),
        )
        for name, curve in curves.items()
    ]
    kept = " [kept out of tuning]" if problem.held_out else ""
    what = "hypervolume of the front, held out" if problem.is_front else "held out"
    print_table(
        f"{problem.name}{kept}: {problem.what}; {what}",
        ("contestant", "seeds", *map(str, marks), f"- {against}", f"to {level:.3f}", "s", "winners, ends"),
        rows,
    )
    print("*: a parent, the base, an average or a usual recipe is there already, before any optimizer's part")


def _ends(records: Sequence[Record]) -> str:
    """Returns of which kinds the winners are, and why searches ended that did not spend their budget."""
    kinds = Counter(record.looks[-1].winner for record in records if record.looks)
    early = Counter(record.ending for record in records if record.ending != "budget spent")
    return ", ".join(f"{count} {what}" for what, count in (*kinds.items(), *early.items()))


def _print_profile(
    by_problem: Mapping[str, Curves], contestants: Sequence[str], marks: Sequence[int]
) -> None:
    rows = []
    for name in contestants:
        taken = [curves for curves in by_problem.values() if name in curves]
        if taken:
            places = [mean([ranks(curves, mark)[name] for curves in taken]) for mark in marks]
            firsts = [sum(is_first(name, curves, mark) for curves in taken) for mark in marks]
            cells = [f"{p:.1f} ({f})" for p, f in zip(places, firsts, strict=True)]
            rows.append((name, len(taken), *cells))
    title = "Mean rank over problems (on how many it is first, or within one standard error of the first)"
    print_table(title, ("contestant", "problems", *map(str, marks)), rows)


def mean(values: Sequence[float]) -> float:
    """Returns the mean."""
    return math.fsum(values) / len(values)


def _print_last_line(
    by_problem: Mapping[str, Curves], order: Order, marks: Sequence[int], results: Results
) -> dict[str, float]:
    found = {
        name: evaluations_ratio(curves[AUTO], _peers(curves))
        for name, curves in by_problem.items()
        if AUTO in curves and _peers(curves)
    }
    ratios = {name: ratio for name, (ratio, _) in found.items()}
    if ratios:
        ratios["median"] = median(ratios.values())
    more: dict[str, Any] = {
        "first": {
            name: [is_first(AUTO, curves, mark) for mark in marks]
            for name, curves in by_problem.items()
            if AUTO in curves
        },
        "reached_by_generation_0": [
            name
            for name, curves in by_problem.items()
            if name in ratios
            and by_generation_0(
                results.records[name, AUTO], curves[AUTO].evaluations_to(peer_level(_peers(curves)))
            )
        ],
        "ends": {
            problem: {name: round(float(curve.mean[-1]), 4) for name, curve in curves.items()}
            for problem, curves in by_problem.items()
        },
        "kept_out_of_tuning": [problem.name for problem in order.problems if problem.held_out],
        "absent": results.absent,
        "seeds": order.seeds,
        "budget": order.budget,
        "marks": list(marks),
    }
    spread = {name: error for name, (_, error) in found.items() if not math.isnan(error)}
    print_result(ratios, limit=LIMITS, spread=spread, **more)
    return ratios


def by_generation_0(records: Sequence[Record], evaluations: float) -> bool:
    """Says whether most runs' winner after so many evaluations is a model that no optimizer proposed."""
    kinds = [look.winner for record in records for look in record.looks if look.evaluations == evaluations]
    return 2 * sum(kind in _GENERATION_0 for kind in kinds) > len(kinds)


def _with_error(value: float, error: float) -> str:
    return f"{value:.3f}" + ("" if math.isnan(error) else f" ± {error:.3f}")


def _signed(value: float, error: float) -> str:
    return f"{value:+.3f}" + ("" if math.isnan(error) else f" ± {error:.3f}")


def _number(value: float) -> str:
    return "" if math.isinf(value) or math.isnan(value) else f"{value:.0f}"
