"""Runs inside pycma's environment: CMA-ES as mergekit-evolve starts it, over a pipe.

Reads a line of JSON (the problem), and answers `{"ask": [[gene, ...], ...], "mean": [...]}`; then reads
`{"fitness": [[one per objective], ...]}` and answers again, until its input ends.  As mergekit-evolve 0.1
does: x0 with all weights at one over the number of models, sigma 1/6, no bounds, no restarts, the weighted
sum of the objectives maximized, a model that cannot be made worth nothing.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
SIGMA = 1 / 6


def main() -> None:
    """Asks until the other side is gone."""
    import cma

    order = json.loads(sys.stdin.readline())
    genes, weights = order["genes"], order["weights"]
    # Weights are searched in their own unit, as there; what it does not know, as a share of the range.
    spans = [1.0 if gene["is_weight"] else gene["high"] - gene["low"] for gene in genes]
    start = [gene["start"] / span for gene, span in zip(genes, spans, strict=True)]
    options = {"seed": order["seed"] + 1, "verbose": -9, "verb_log": 0, "maxfevals": order["budget"]}
    search = cma.CMAEvolutionStrategy(start, SIGMA, options)
    while True:
        points = search.ask()
        tell(ask=[unscaled(point, spans) for point in points], mean=unscaled(search.mean, spans))
        line = sys.stdin.readline()
        if not line:
            return
        told = json.loads(line)["fitness"]
        points = points[: len(told)]
        if len(points) == search.popsize:
            search.tell(points, [-scalar(fitness, weights) for fitness in told])


def unscaled(point: Any, spans: list[float]) -> list[float]:  # noqa: ANN401 - an array of numpy
    """Returns a point in the genes' own units."""
    return [float(gene) * span for gene, span in zip(point, spans, strict=True)]


def scalar(fitness: list[float] | None, weights: list[float]) -> float:
    """Returns the weighted mean of the objectives; 0 for a model that could not be made."""
    if fitness is None:
        return 0.0
    return sum(w * f for w, f in zip(weights, fitness, strict=True)) / sum(weights)


def tell(**what: Any) -> None:  # noqa: ANN401 - any JSON
    """Writes a line that the benchmark reads."""
    ANSWERS.write(json.dumps(what) + "\n")
    ANSWERS.flush()


if __name__ == "__main__":
    main()
