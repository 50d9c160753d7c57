"""What searching is worth: evaluations and seconds to a held-out score, against peers and publications.

python -m benchmarks.search [--quick] [--only demo|miniatures|costs] [--out FOLDER]
python -m benchmarks.search --suite [--quick] [--problems a,b] [--seeds N] [--contestants a,b] [--budget N]
python -m benchmarks.search --gate

`--suite` runs every optimizer and the peers on many problems; finished runs are kept in a file and not run
again, so that it may be interrupted.  `--gate` compares `auto` and `cma_es` with pycma on three problems, and
ends with 1 where `auto` is worse by more than its seeds' noise.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring.report import print_result
from benchmarks.search_costs import measure, print_rows
from benchmarks.searching.demo import (
    QUICK,
    DemoSize,
    measure_demo,
    print_courses,
    ratios,
    spreads,
)
from benchmarks.searching.miniatures import CLAIMS, measure_miniatures, print_miniatures
from benchmarks.searching.plots import demo_figures, write_bars, write_figures

RESULTS = Path(__file__).parent / "results"
LIMITS: Mapping[str, object] = {
    "time_to_target_vs_mergekit_evolve": "at least 5",
    "evaluations_to_target_vs_mergekit_evolve": "at least 2",
    "end_vs_mergekit_evolve": "at least 0",
    "miniature_claims": "none contradicted",
    "ask_tell_ms_up_to_200_genes": "at most 5",
    "recovery_s_of_10000": "at most 5",
}
FULL, SMALL = DemoSize(120, 10, 10, 4), DemoSize(36, 2, 1, 1, QUICK)


@dataclass(slots=True)
class Found:
    """What goes into the last line."""

    ratios: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)


def run_demo(found: Found, options: argparse.Namespace) -> None:
    """Measures the demo problem."""
    size = SMALL if options.quick else FULL
    if options.seeds:
        size = replace(size, seeds=options.seeds)
    if options.peer_seeds:
        size = replace(size, peer_seeds=options.peer_seeds, slow_peer_seeds=options.peer_seeds)
    if options.algorithms:
        size = replace(size, algorithms=tuple(options.algorithms.split(",")))
    _, courses = measure_demo(size, options.out / "demo", workers=os.cpu_count() or 1)
    print_courses(courses, size.budget)
    found.ratios |= ratios(courses)
    found.spread |= spreads(courses)
    found.more["absent"] = {c.told.name: c.told.absent for c in courses.values() if c.told.absent}
    found.more["seeds"] = {name: len(course.steps) for name, course in courses.items()}
    found.more["held_out"] = {
        name: round(median(course.ends()), 4) for name, course in courses.items() if course.steps
    }
    _say_written(write_figures(demo_figures(courses), options.out))


def run_miniatures(found: Found, options: argparse.Namespace) -> None:
    """Measures the miniatures."""
    results = measure_miniatures(quick=options.quick, processes=os.cpu_count() or 1)
    print_miniatures(results)
    claims = [(result, claim) for result in results for claim in CLAIMS[result.name]]
    verdicts = Counter(result.verdict(claim) for result, claim in claims)
    found.ratios["miniature_claims"] = verdicts["as published"] / len(claims)
    found.more["miniature_claims"] = dict(verdicts)
    for result in results:
        for claim in CLAIMS[result.name]:
            found.spread[f"{result.name}: {claim.better} - {claim.worse}"] = result.difference(claim)[1]
    _say_written(write_bars(results, options.out))


def run_costs(found: Found, options: argparse.Namespace) -> None:
    """Measures what asking, telling and recovering cost."""
    rows = measure(quick=options.quick)
    print_rows(rows)
    asked = [r["value"] for r in rows if r["kind"] != "recovery" and r["goal"] and r["value"] is not None]
    recovered = [r["value"] for r in rows if r["kind"] == "recovery" and r["value"] is not None]
    found.more["worst"] = {
        "ask_tell_ms_up_to_200_genes": round(max(asked), 3),
        "recovery_s_of_10000": round(max(recovered), 3),
    }
    found.more["costs"] = rows


def _say_written(files: list[Path]) -> None:
    print("\nwritten: " + ", ".join(str(file) for file in files))


PARTS = {"demo": run_demo, "miniatures": run_miniatures, "costs": run_costs}


def main() -> None:
    """Measures what is asked for and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer seeds, a smaller budget, few optimizers")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part of it")
    parser.add_argument("--seeds", type=int, help="seeds of our runs (10; 2 where quick)")
    parser.add_argument("--algorithms", help="those of ours that take part, separated by commas")
    parser.add_argument("--peer-seeds", type=int, help="seeds of the peers' runs, which take minutes each")
    parser.add_argument("--suite", action="store_true", help="all problems, all optimizers, all peers")
    parser.add_argument("--gate", action="store_true", help="for every change to an optimizer")
    parser.add_argument("--problems", help="of the suite, separated by commas")
    parser.add_argument("--contestants", help="of the suite, separated by commas")
    parser.add_argument("--budget", type=int, help="evaluations of every run of the suite, 200")
    parser.add_argument("--workers", type=int, help="processes of the suite; one per core")
    parser.add_argument("--out", type=Path, default=RESULTS, help="gets plots and all that is made")
    options = parser.parse_args()
    options.out = options.out.absolute()
    if options.suite or options.gate:
        from benchmarks.searching.suite.command import run_command

        raise SystemExit(run_command(options))
    found = Found()
    for name, part in PARTS.items():
        if options.only in (None, name):
            part(found, options)
    print_result(found.ratios, limit=LIMITS, spread=found.spread, **found.more)


if __name__ == "__main__":
    main()
