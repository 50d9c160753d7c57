"""What CMA-ES gains by learning slower where scores are noisy.

    python -m benchmarks.search_noise [--quick] [--seeds N]

A synthetic model answers items as a merged one does: better near the best genome, and on every item by
its own leaning besides, so that two candidates disagree the more the further apart they are (5 to 20 of
100 items among siblings).  CMA-ES searches with few or many items, the same ones for all candidates or
others in every generation, as usual (`never`), learning slower (`always`), and as usual with twice the
population.  Two things are asked of each: the true accuracy of the distribution's mean, and that of what
an examination would choose, the best of the mean and the ten best candidates on 200 other items.  Both on
3,800 items that nothing was chosen by; differences from `never` on the same seeds, in percentage points,
with one standard error.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.report import print_result, print_table
from search_spaces.genome import Real
from service.optimizers import Evaluation, Optimizer, OptimizerSetup, optimizer_named

MARKS = (150, 300, 600)  # candidates after which a search is looked at
GENES = (6, 20)
SCORES = (
    (50, False), (50, True), (100, False), (100, True), (200, False), (200, True), (400, False),
)  # items; whether redrawn  # fmt: skip
SEARCH, SELECTION, TEST = np.arange(2000), np.arange(2000, 2200), np.arange(2200, 6000)
CONTESTANTS = {"never": ("never", 1), "always": ("always", 1), "twice the population": ("never", 2)}

Items = NDArray[np.intp]
Point = NDArray[np.float64]
Kind = tuple[int, int, bool, str]  # genes, items, redrawn, contestant
Found = dict[Kind, NDArray[np.float64]]


class AnsweringModel:
    """Answers an item where its quality, and its leaning towards that item, exceed the difficulty."""

    def __init__(self, genes: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 77])
        self._best = rng.uniform(0.15, 0.85, genes)
        self._difficulty = rng.normal(0.0, 1.2, len(SEARCH) + len(SELECTION) + len(TEST))
        self._directions = rng.normal(0.0, 18 / genes**0.5, (len(self._difficulty), genes))
        self._phases = rng.uniform(0.0, 2 * np.pi, len(self._difficulty))

    def accuracy(self, point: Point, items: Items) -> float:
        """Returns the share of these items that a genome (shape [genes], of the unit cube) answers."""
        distance = point - self._best
        leaning = 0.8 * np.sin(self._directions[items] @ distance + self._phases[items])
        quality = 0.9 - 30 * np.mean(distance**2)
        return float(np.mean(quality + leaning > self._difficulty[items]))


@dataclass(frozen=True, slots=True)
class Case:
    """One search; `redrawn`: other items in every generation."""

    genes: int
    items: int
    redrawn: bool
    contestant: str
    seed: int


def looked_at(case: Case) -> list[tuple[float, float]]:
    """Searches; returns the true accuracies of the mean and of the chosen one at every mark."""
    model, rng = AnsweringModel(case.genes, case.seed), np.random.default_rng([case.seed, 5])
    optimizer = _built(case)
    items = rng.choice(SEARCH, case.items, replace=False)
    seen: list[tuple[float, int, Point]] = []
    found: list[tuple[float, float]] = []
    while len(found) < len(MARKS):
        if case.redrawn:
            items = rng.choice(SEARCH, case.items, replace=False)
        numbers = range(len(seen), len(seen) + optimizer.population)
        for number, genome in zip(numbers, optimizer.ask(numbers), strict=True):
            point = np.array(genome, dtype=np.float64)
            seen.append((model.accuracy(point, items), number, point))
        told = seen[numbers.start :]
        optimizer.tell([Evaluation(n, tuple(p.tolist()), (score,)) for score, n, p in told])
        if len(seen) >= MARKS[len(found)]:
            found.append(_examined(optimizer, model, [p for _, _, p in sorted(seen, key=_best_first)[:10]]))
    return found


def _built(case: Case) -> Optimizer:
    when, times = CONTESTANTS[case.contestant]
    setup = OptimizerSetup(
        tuple(Real(f"weight {i}", 0.0, 1.0, 0.5) for i in range(case.genes)),
        case.seed,
        population=times * (4 + int(3 * np.log(case.genes))),
        budget=MARKS[-1],
        options={"learning_rate_adaptation": when},
    )
    return optimizer_named("cma_es")(setup)


def _best_first(seen: tuple[float, int, Point]) -> tuple[float, int]:
    return -seen[0], seen[1]


def _examined(optimizer: Optimizer, model: AnsweringModel, best: Sequence[Point]) -> tuple[float, float]:
    genome = optimizer.mean()
    assert genome is not None  # noqa: S101 - a generation was told
    mean = np.array(genome, dtype=np.float64)
    chosen = max((mean, *best), key=lambda point: model.accuracy(point, SELECTION))
    return model.accuracy(mean, TEST), model.accuracy(chosen, TEST)


def measure_noise(seeds: int, genes: Sequence[int]) -> Found:
    """Returns accuracies per genes, items, redrawn and contestant, shape [seeds, marks, mean and chosen]."""
    kinds = [(g, *score, name) for g, score, name in product(genes, SCORES, CONTESTANTS)]
    cases = [Case(*kind, seed) for kind in kinds for seed in range(seeds)]
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        found = np.array(list(processes.map(looked_at, cases, chunksize=4)))
    return {kind: found[i * seeds : (i + 1) * seeds] for i, kind in enumerate(kinds)}


def gains(found: Found) -> dict[Kind, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Returns mean and standard error of what is gained on `never`, points, each [marks, mean and chosen]."""
    result = {}
    for (genes, items, redrawn, name), accuracies in found.items():
        if name != "never":
            gained = 100 * (accuracies - found[genes, items, redrawn, "never"])
            result[genes, items, redrawn, name] = (
                gained.mean(axis=0), gained.std(axis=0, ddof=1) / len(gained) ** 0.5
            )  # fmt: skip
    return result


def print_noise(found: Found) -> None:
    """Prints a row per contestant: accuracies of `never`, gains of the others."""
    rows, gained = [], gains(found)
    places = [(mark, what) for what in (0, 1) for mark in range(len(MARKS))]
    for kind, accuracies in found.items():
        genes, items, redrawn, name = kind
        if kind in gained:
            cells = [f"{gained[kind][0][place]:+.1f} ± {gained[kind][1][place]:.1f}" for place in places]
        else:
            cells = [f"{100 * accuracies.mean(axis=0)[place]:.1f}" for place in places]
        rows.append((genes, items, "redrawn" if redrawn else "the same", name, *cells))
    marks = [f"{what}, {mark}" for what in ("mean", "chosen") for mark in MARKS]
    title = "Accuracy in %; of the others, points gained; after 150, 300 and 600 candidates"
    print_table(title, ("genes", "items", "", "slower", *marks), rows)


def main() -> None:
    """Measures, prints a table and one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="6 genes and 4 seeds only")
    parser.add_argument("--seeds", type=int, help="32, or 4 where quick")
    options = parser.parse_args()
    seeds = options.seeds or (4 if options.quick else 32)
    found = measure_noise(seeds, GENES[:1] if options.quick else GENES)
    print_noise(found)
    chosen = {
        f"{name}: points gained by the chosen, {genes} genes, {items} items{' redrawn' * redrawn}": of
        for (genes, items, redrawn, name), of in gains(found).items()
    }
    ratios = {name: float(gained[1, 1]) for name, (gained, _) in chosen.items()}
    spread = {name: float(errors[1, 1]) for name, (_, errors) in chosen.items()}
    print_result(ratios, limit={}, spread=spread, unit=f"percentage points after {MARKS[1]} candidates")


if __name__ == "__main__":
    main()
