"""The whole way on real weights: search, examination, export, and plain lm-eval's word on the export.

    python -m benchmarks.real FOLDER [--quick] [--home HOME] [--workforce ray|inline]

FOLDER holds models, items, and `experiment.yml`, which names specialists as parents, their base, and
tasks.  The experiment is run; the winner and the best usual recipe (by the selection split) are exported
and asked the test items by lm-eval's own HFLM from disk.  Then candidates are merged and asked in turns
with HFLM on the same weights in memory, which neither merges nor loads anything, and which gets the
faster of two batch sizes.  Layers that are the same in all candidates are run once by us, so the limit
is given with and without them.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import torch
from lm_eval.models.huggingface import HFLM

from benchmarks.measuring.report import print_table
from benchmarks.real.candidate_costs import measure_candidates
from benchmarks.real.held_out import Answers, best_usual, gains
from benchmarks.real.plain_items import PlainItems
from benchmarks.real.tables import finish, print_gain, show, show_costs
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from service.cli.connection import Place
from service.cli.reaching import Need, reach
from service.experiment.candidate import CandidateKind
from service.experiment.spec import ExperimentSpec
from service.inprocess.optimize import optimize
from service.inprocess.result import Result
from workers.checkpoints.hub.parent_files import inspect_parent
from workers.compatibility.instruction_names import follows_instructions

T = TypeVar("T")


@dataclass(slots=True)
class Phases:
    """Seconds that each part of the way took."""

    seconds: dict[str, float] = field(default_factory=dict)

    def timed(self, name: str, run: Callable[[], T]) -> T:
        """Runs a part, and remembers how long it took."""
        began = perf_counter()
        found = run()
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - began
        return found


def rescored(result: Result, number: int, folder: Path, plain: PlainItems, phases: Phases) -> Answers:
    """Exports a candidate, and returns what plain lm-eval says of it on the test items."""
    place = folder / str(number)
    phases.timed("export", lambda: result.export(place, number, even_a_parent=True))
    device = "cuda" if torch.cuda.is_available() else "cpu"  # HFLM asks for a GPU unless it is told
    lm = HFLM(pretrained=str(place), batch_size=64, dtype="auto", device=device)
    return phases.timed("plain lm-eval", lambda: plain.answers(lm, "test"))


def recipes_of(result: Result, home: Path, most: int) -> list[str]:
    """Returns the recipes of evolved candidates, as mergekit YAML."""
    numbers = [
        p.number
        for p in result.front.view.front + result.front.view.dominated
        if p.kind == CandidateKind.EVOLVED
    ]
    with reach(Place(home=home), Need.EXPORT) as (client, _):
        return [client.recipe(result.experiment.id, number) for number in numbers[:most]]


def options() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="models, items and experiment.yml")
    parser.add_argument("--spec", default="experiment.yml", help="the experiment's file in it")
    parser.add_argument("--quick", action="store_true", help="two candidates are timed instead of five")
    parser.add_argument("--home", type=Path, help="keeps the experiment, and goes on with one that is there")
    parser.add_argument("--workforce", choices=("ray", "inline"), help="who works: Ray, or this process")
    parser.add_argument("--workers", type=int, help="how many; all cores' worth by default")
    return parser.parse_args()


def main() -> None:
    """Runs and prints."""
    told = options()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="evomerge-real-") as made:
        run(told, told.home or Path(made) / "home", Path(made))


def run(told: argparse.Namespace, home: Path, scratch: Path) -> None:
    """Goes the whole way."""
    phases, began = Phases(), perf_counter()
    file = told.folder / told.spec
    result = phases.timed(
        "search and examination",
        lambda: optimize(file, home=home, workers=told.workers, workforce=told.workforce),
    )
    spec = ExperimentSpec.model_validate(result.experiment.spec)
    instruct = any(follows_instructions(inspect_parent(parent)) for parent in spec.all_parents)
    plain = PlainItems.of(spec.benchmarks, instruct=instruct)
    if result.winner is None:
        raise SystemExit("no candidate could be scored, so there is nothing to export")
    usual, winner = best_usual(result), result.winner.number
    scored = {number: rescored(result, number, scratch, plain, phases) for number in {winner, usual.number}}
    whole = perf_counter() - began
    recipes = [read_recipe(text) for text in recipes_of(result, home, 6)]
    costs = measure_candidates(spec, recipes, instruct=instruct, repeats=2 if told.quick else 5)
    show(result, scored)
    objectives = result.experiment.objectives
    tests = gains(scored[winner], scored[usual.number], objectives)
    print_gain(usual, tests, objectives)
    show_costs(costs)
    print_table(
        "The way",
        ("part", "seconds"),
        [(n, f"{s:.0f}") for n, s in (phases.seconds | {"whole": whole}).items()],
    )
    finish(result, scored[winner], tests, costs, phases.seconds | {"whole": whole})


if __name__ == "__main__":
    main()
