"""Fewer items for the same decision: rotating subsets, elites re-evaluated, and races.

    python -m benchmarks.evaluate_items [--quick]

On the miniature of three experts (nine coefficients), CMA-ES searches with 300 candidates per seed, in
the service's own search loop, and its workers' own way of asking (`workers.runtime.item_evaluation`):

* `full`: every candidate answers all 400 search items;
* `full, raced`: the same, but a candidate races the best so far in batches of 25 (z = 2.3), and is told
  its estimate when it has lost;
* `rotating`: each generation answers another 40 items, and so do two elites; the baselines answer all;
* `rotating, raced`: both, in batches of 5 (z = 1).

In the end the service's finalists (eight, and the baselines) and the mean of CMA-ES's distribution answer
the 200 selection items, the best of them is the winner, and what counts is its accuracy on 400 test
items that nothing was chosen on.  Costs are items answered, selection included.  `full, best score` is the
published way: the same searches as `full`, whose winner is the best on the search items, without any
selection.  Differences are paired over the seeds; ± is one standard error over seeds.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.measuring.report import print_table
from benchmarks.miniatures.experts import Experts
from evaluators import ItemIndices, ItemSet, Score
from evaluators.scores import mean_score
from search_spaces import Recipe
from search_spaces.errors import NotInSpaceError
from search_spaces.genome import Genome
from service.examination.finalists import finalists
from service.experiment.spec import Budget, Racing, Rotation
from service.optimizers import OptimizerSetup, optimizer_named
from service.search.fidelity.racing_rules import RaceRule
from service.search.fidelity.subsampling import RotationRule
from service.search.journal import ListJournal
from service.search.loop import SearchLoop
from service.search.plan import Baseline, SearchPlan
from workers.protocol.messages import (
    Assignment,
    Interrupted,
    Job,
    JobResult,
    Outcome,
    Scored,
    never,
)
from workers.protocol.sole_workforce import SoleWorkforce
from workers.runtime.item_evaluation import evaluate_items

SEEDS, QUICK_SEEDS = 20, 3
CANDIDATES, QUICK_CANDIDATES = 300, 60
SEARCH_ITEMS, SELECTION_ITEMS = 400, 200
POPULATION, FINALISTS = 20, 8
LEAST_RATIO, LEAST_SAVING = 7.0, 0.45


@dataclass(frozen=True, slots=True)
class Way:
    """A way of asking items.

    Attributes:
        subset: Search items per generation; None asks all.
        batch, z: Items between two looks of a race, and what it is lost by; None runs no races.
        elites: How many of the best are re-evaluated.
    """

    name: str
    subset: int | None = None
    batch: int | None = None
    z: float = 2.3
    elites: int = 2


WAYS = (
    Way("full"),
    Way("full, raced", batch=25),
    Way("rotating", subset=40),
    Way("rotating, raced", subset=40, batch=5, z=1.0),
)
FULL = WAYS[0].name
BEST_SCORE = "full, best score"


class GenomeSpace:
    """A miniature's genomes as recipes, so that the service's loop can search them."""

    def __init__(self, problem: Experts) -> None:
        self.variables = problem.variables
        self._genomes: dict[str, Genome] = {}

    def decode(self, genome: Genome) -> Recipe:
        """Returns a recipe that no worker but `Desk` can cook."""
        sources = [
            {"parent": f"gene {place}", "parameters": {"weight": [{"value": gene}]}}
            for place, gene in enumerate(genome)
        ]
        recipe = Recipe.model_validate({"method": "linear", "slices": [{"sources": sources}]})
        self._genomes[recipe.digest] = genome
        return recipe

    def encode(self, recipe: Recipe) -> Genome:
        """Returns the genome that a recipe was decoded from."""
        if recipe.digest not in self._genomes:
            raise NotInSpaceError("recipe", "was decoded from no genome", "decode one")
        return self._genomes[recipe.digest]


class Desk(SoleWorkforce):
    """Asks models items as a worker would, and counts."""

    def __init__(self, problem: Experts, space: GenomeSpace) -> None:
        self.problem, self.space, self.asked = problem, space, 0
        self._queue: deque[Assignment] = deque()

    def claim(self, wanted: int) -> int:
        """One, for whatever there is to do."""
        return min(wanted, 1)

    def submit(self, assignment: Assignment) -> None:
        """Takes an assignment."""
        self._queue.append(assignment)

    def next_outcome(self, timeout: float) -> Outcome | None:  # noqa: ARG002
        """Answers the assignment that came first."""
        return self.answer(self._queue.popleft()) if self._queue else None

    def answer(self, assignment: Assignment) -> Scored:
        """Merges, and asks what the assignment wants."""
        right = self.problem.items(self.space.encode(assignment.recipe), assignment.split)
        item_set = ItemSet(len(right), "digits", additive=True)
        like = Score("digits", "acc", 0.0, 0.0, higher_is_better=True, item_set="digits")

        def put(items: ItemIndices | None) -> tuple[Score, ...]:
            places = range(len(right)) if items is None else items[0]
            return (mean_score(like, {place: float(right[place]) for place in places}, size=len(right)),)

        answered = evaluate_items(assignment, (item_set,), put)
        self.asked += answered.asked
        return Scored(
            assignment.candidate, 1, answered.scores, 0.0, 0.0, "desk", answered.pruned, answered.asked
        )

    def drop(self) -> None:
        """Forgets all assignments."""
        self._queue.clear()

    def release(self) -> None:
        """Forgets all assignments."""
        self.drop()

    def run_job(self, job: Job, interrupted: Interrupted = never) -> JobResult:  # noqa: ARG002 - it is over at once
        """Merges and asks; any other call is a mistake.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"a miniature's desk has no answer to a {type(job).__name__}")

    def close(self) -> None:
        """Holds nothing."""


def run(way: Way, seed: int, candidates: int) -> tuple[float, int, float]:
    """Searches once.

    Returns:
        The winner's accuracy on the test items, how many items were answered, and the test accuracy of the
        candidate that was the best on the search items.
    """
    problem = Experts(seed)
    space = GenomeSpace(problem)
    desk, journal = Desk(problem, space), ListJournal()
    setup = OptimizerSetup(problem.variables, seed, population=POPULATION, budget=candidates)
    names = ("expert 0", "expert 1", "expert 2", "average")
    known = zip(names, map(space.decode, problem.baselines()), strict=True)
    rotation = (
        None
        if way.subset is None
        else RotationRule(Rotation(items=way.subset, elites=way.elites), (SEARCH_ITEMS,), seed)
    )
    plan = SearchPlan(
        baselines=tuple(Baseline(name, recipe) for name, recipe in known),
        budget=Budget(candidates=candidates),
        race=None if way.batch is None else RaceRule(Racing(z=way.z, batch=way.batch), (1.0,), seed),
        rotation=rotation,
    )
    optimizer = optimizer_named("cma_es")(setup)
    loop = SearchLoop(plan, space=space, optimizer=optimizer, workforce=desk, journal=journal)
    loop.run()
    best = loop.progress.archive.best
    assert best is not None  # noqa: S101 - the baselines are told
    genomes = {r.candidate.number: r.candidate.genome or () for r in journal.recall()}
    contestants = [genomes[c.number] for c in finalists(journal.recall(), (1.0,), FINALISTS)]
    mean = optimizer.mean()
    winner = _selected(problem, [*([mean] if mean is not None else []), *contestants])
    asked = desk.asked + SELECTION_ITEMS * (len(contestants) + (mean is not None))
    return _test(problem, winner), asked, _test(problem, genomes[best[0]])


def _selected(problem: Experts, contestants: Sequence[Genome]) -> Genome:
    return max(contestants, key=lambda genome: float(problem.items(genome, "selection").mean()))


def _test(problem: Experts, genome: Genome) -> float:
    return float(problem.items(genome, "test").mean())


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Returns per way: cost in items, test accuracy, and the paired difference to `full`.

    `ratio` is how many times fewer items `rotating` asks than `full`; `saving` what share races save on
    top, of `full` and of `rotating`; each difference comes with its standard error over seeds.
    """
    seeds, candidates = (QUICK_SEEDS, QUICK_CANDIDATES) if quick else (SEEDS, CANDIDATES)
    found: dict[str, list[tuple[float, int, float]]] = {way.name: [] for way in WAYS}
    for seed in range(seeds):
        for way in WAYS:
            found[way.name].append(run(way, seed, candidates))
    accuracy = {name: np.array([one[0] for one in runs]) for name, runs in found.items()}
    cost = {name: float(np.mean([one[1] for one in runs])) for name, runs in found.items()}
    accuracy[BEST_SCORE] = np.array([one[2] for one in found[FULL]])
    contestants = len(Experts(0).baselines()) + FINALISTS + 1
    cost[BEST_SCORE] = cost[FULL] - SELECTION_ITEMS * contestants
    rows = [
        {
            "way": name,
            "items": cost[name],
            "accuracy": float(row.mean()),
            "minus_full": float((row - accuracy[FULL]).mean()),
            "minus_full_stderr": _stderr(row - accuracy[FULL]),
        }
        for name, row in accuracy.items()
    ]
    raced = accuracy["rotating, raced"] - accuracy["rotating"]
    published = accuracy["rotating"] - accuracy[BEST_SCORE]
    return {
        "seeds": seeds,
        "candidates": candidates,
        "ways": rows,
        "ratio": cost["full"] / cost["rotating"],
        "rotating_minus_best_score": float(published.mean()),
        "rotating_minus_best_score_stderr": _stderr(published),
        "saving_of_full": 1.0 - cost["full, raced"] / cost["full"],
        "saving_of_rotating": 1.0 - cost["rotating, raced"] / cost["rotating"],
        "raced_minus_rotating": float(raced.mean()),
        "raced_minus_rotating_stderr": _stderr(raced),
        "least_ratio": LEAST_RATIO,
        "least_saving": LEAST_SAVING,
    }


def _stderr(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="few seeds, short searches")
    arguments = parser.parse_args()
    found = measure(quick=arguments.quick)
    rows = [
        (
            row["way"],
            f"{row['items']:,.0f}",
            f"{row['accuracy']:.3f}",
            f"{100 * row['minus_full']:+.1f} ± {100 * row['minus_full_stderr']:.1f}",
        )
        for row in found["ways"]
    ]
    title = f"{found['seeds']} seeds, {found['candidates']} candidates each"
    print_table(title, ("way", "items", "test", "minus full, points"), rows)
    print(f"rotating asks {found['ratio']:.1f} times fewer items than full (goal {LEAST_RATIO:g})")
    print(
        f"races save {found['saving_of_full']:.0%} of full and {found['saving_of_rotating']:.0%} of rotating "
        f"(goal {LEAST_SAVING:.0%}); raced minus rotating {100 * found['raced_minus_rotating']:+.1f} "
        f"± {100 * found['raced_minus_rotating_stderr']:.1f} points"
    )
    print(
        f"rotating minus the best score of full {100 * found['rotating_minus_best_score']:+.1f} "
        f"± {100 * found['rotating_minus_best_score_stderr']:.1f} points"
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
