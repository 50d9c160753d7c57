"""Fewer items for the same decision: rotating subsets, re-evaluated elites, and races.

    python -m benchmarks.evaluate_items [--quick]

On the miniature of three experts (nine coefficients), CMA-ES searches with 300 candidates per seed.
Each way of asking items goes through the code that a worker runs (`workers.questioning`):

* `full`: every candidate answers all 400 search items;
* `full, raced`: the same, but a candidate races the incumbent in batches of 25 (z = 2.3), and is told
  as the incumbent's score plus the paired difference when it has lost;
* `rotating`: each generation answers another 45 items, the same for all its candidates, and so does
  the incumbent again; a candidate is worth the incumbent's mean over all it ever answered plus the
  paired difference, and the incumbent is the one with the highest worth less its doubt;
* `rotating, raced`: both, in batches of 10.

In the end eight finalists of the search, CMA-ES's last generation's mean and the baselines answer the 200
selection items (raced in the raced ways), the best of them is the winner, and what counts is its
accuracy on 400 test items that nothing was chosen on.  Costs are items answered, selection included.
Differences are paired over the seeds; ± is one standard error over seeds.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np

from benchmarks.miniatures.experts import Experts
from benchmarks.report import print_table
from evaluators import Items, Race, Score, Sheet
from search_spaces import Recipe
from search_spaces.genome import Genome
from service.optimizers import Evaluation, OptimizerSetup, optimizer_named
from workers.messages import Assignment
from workers.questioning import question

SEEDS, QUICK_SEEDS = 20, 3
CANDIDATES, QUICK_CANDIDATES = 300, 60
SEARCH_ITEMS, SELECTION_ITEMS = 400, 200
POPULATION, FINALISTS = 20, 8
LEAST_RATIO, LEAST_SAVING = 7.0, 0.45
_RECIPE = Recipe.model_validate({"method": "linear", "slices": [{"sources": [{"parent": "miniature"}]}]})


@dataclass(frozen=True, slots=True)
class Way:
    """A way of asking items.

    Attributes:
        subset: Search items per generation; None asks all.
        batch: Items between two looks of a race; None runs no races.
    """

    name: str
    subset: int | None
    batch: int | None


WAYS = (
    Way("full", None, None),
    Way("full, raced", None, 25),
    Way("rotating", 45, None),
    Way("rotating, raced", 45, 10),
)


@dataclass(slots=True)
class Model:
    """A genome and what is known of its answers, per split."""

    genome: Genome
    right: dict[str, np.ndarray]
    known: dict[str, Score] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Over all search items answered so far."""
        return float(np.mean(self.known["search"].per_item))

    @property
    def doubt(self) -> float:
        """The largest standard error that the mean of so many answers can have."""
        return 0.5 / math.sqrt(len(self.known["search"].per_item))


class Desk:
    """Asks models items as a worker would, and counts."""

    def __init__(self, problem: Experts) -> None:
        self.problem, self.asked = problem, 0

    def model(self, genome: Genome) -> Model:
        """Merges."""
        return Model(genome, {split: self.problem.items(genome, split) for split in ("search", "selection")})

    def ask(
        self, model: Model, split: str, items: Sequence[int] | None = None, race: Race | None = None
    ) -> Score:
        """Has a model answer; what it answered before is known."""
        right = model.right[split]
        sheet = Sheet(len(right), split, additive=True)

        def put(wanted: Items | None) -> tuple[Score, ...]:
            places = range(len(right)) if wanted is None else wanted[0]
            values = tuple(float(right[place]) for place in places)
            part = () if len(values) == len(right) else tuple(places)
            mean = sum(values) / len(values)
            return (Score("digits", "acc", mean, 0.0, True, values, part, split),)

        known = (model.known[split],) if split in model.known else ()
        chosen = None if items is None else (tuple(sorted(items)),)
        order = Assignment(uuid4(), 0, _RECIPE, items=chosen, race=race, known=known)
        answered = question(order, (sheet,), put)
        self.asked += answered.asked
        (score,) = answered.scores
        answers = (model.known[split].answers if known else {}) | score.answers
        places = tuple(sorted(answers))
        model.known[split] = Score(
            "digits", "acc", 0.0, 0.0, True, tuple(answers[p] for p in places),
            () if len(places) == len(right) else places, split,
        )  # fmt: skip
        return score


def run(way: Way, seed: int, candidates: int) -> tuple[float, int]:
    """Returns the winner's accuracy on the test items, and how many items were answered."""
    problem = Experts(seed)
    desk, rng = Desk(problem), np.random.default_rng([seed, 7])
    setup = OptimizerSetup(problem.variables, seed, population=POPULATION, budget=candidates)
    optimizer = optimizer_named("cma_es")(setup)
    models = [desk.model(genome) for genome in problem.baselines()]
    first, items = len(models), _subset(way, rng)
    worth = {n: desk.ask(model, "search", items).value for n, model in enumerate(models)}
    optimizer.tell([Evaluation(n, models[n].genome, (worth[n],), baseline=True) for n in range(first)])
    numbers = range(first)
    while len(models) < first + candidates:
        numbers = range(len(models), min(len(models) + POPULATION, first + candidates))
        items = _subset(way, rng)
        incumbent = max(worth, key=lambda n: (worth[n] - models[n].doubt, -n))
        best = desk.ask(models[incumbent], "search", items)  # again, so that a lucky one does not stay
        worth[incumbent] = models[incumbent].mean
        race = Race((best.item_fitness,), (1.0,), batch=way.batch, seed=len(models)) if way.batch else None
        told = {}
        for number, genome in zip(numbers, optimizer.ask(numbers), strict=True):
            models.append(desk.model(genome))
            told[number] = desk.ask(models[number], "search", items, race).value
        optimizer.tell([Evaluation(n, models[n].genome, (value,)) for n, value in told.items()])
        worth |= {n: worth[incumbent] + value - best.value for n, value in told.items()}
    mean = np.mean(np.array([models[n].genome for n in numbers], np.float64), axis=0)
    evolved = sorted(range(first, len(models)), key=lambda n: (models[n].doubt - worth[n], -n))
    return _winner(way, desk, models, evolved[:FINALISTS], tuple(map(float, mean))), desk.asked


def _subset(way: Way, rng: np.random.Generator) -> list[int] | None:
    return None if way.subset is None else rng.permutation(SEARCH_ITEMS)[: way.subset].tolist()


def _winner(way: Way, desk: Desk, models: Sequence[Model], finalists: Sequence[int], mean: Genome) -> float:
    """Has the finalists answer the selection items; returns the best one's test accuracy."""
    contestants = [
        desk.model(mean),
        *(models[n] for n in finalists),
        *models[: len(desk.problem.baselines())],
    ]
    leader, best = contestants[0], desk.ask(contestants[0], "selection")
    for model in contestants[1:]:
        race = Race((best.item_fitness,), (1.0,)) if way.batch else None
        score = desk.ask(model, "selection", None, race)
        if score.value > best.value and not score.items:
            leader, best = model, score
    return float(desk.problem.items(leader.genome, "test").mean())


def measure(quick: bool = False) -> dict[str, Any]:
    """Returns per way: cost in items, test accuracy, and the paired difference to `full`.

    `ratio` is how many times fewer items `rotating` asks than `full`; `saving` what share races save on
    top, of `full` and of `rotating`; each difference comes with its standard error over seeds.
    """
    seeds, candidates = (QUICK_SEEDS, QUICK_CANDIDATES) if quick else (SEEDS, CANDIDATES)
    found = {way.name: [run(way, seed, candidates) for seed in range(seeds)] for way in WAYS}
    accuracy = {name: np.array([one[0] for one in runs]) for name, runs in found.items()}
    cost = {name: float(np.mean([one[1] for one in runs])) for name, runs in found.items()}
    rows = []
    for way in WAYS:
        gap = accuracy[way.name] - accuracy["full"]
        rows.append(
            {
                "way": way.name,
                "items": cost[way.name],
                "accuracy": float(accuracy[way.name].mean()),
                "minus_full": float(gap.mean()),
                "minus_full_stderr": _stderr(gap),
            }
        )
    raced = accuracy["rotating, raced"] - accuracy["rotating"]
    return {
        "seeds": seeds,
        "candidates": candidates,
        "ways": rows,
        "ratio": cost["full"] / cost["rotating"],
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
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    found = measure(arguments.quick)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
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


if __name__ == "__main__":
    main()
