"""Runs inside pycma's environment: CMA-ES as mergekit-evolve 0.1 starts it.

All weights begin at one over the number of models, sigma is 1/6, there are no bounds and no restarts, and the
weighted mean of the objectives is maximized.
"""

from __future__ import annotations

from typing import Any

from benchmarks.peers.samplers.pipe import evaluate, read_order

SIGMA = 1 / 6


def main() -> None:
    """Asks until the other side is gone."""
    import cma

    order = read_order()
    # Weights are searched in their own unit, as there; what it does not know, as a share of the range.
    spans = [1.0 if gene.is_weight else gene.high - gene.low for gene in order.genes]
    start = [gene.start / span for gene, span in zip(order.genes, spans, strict=True)]
    options = {"seed": order.seed + 1, "verbose": -9, "verb_log": 0}
    search: Any = cma.CMAEvolutionStrategy(start, SIGMA, options)
    while True:
        points = search.ask()
        worth = evaluate(order, [point * spans for point in points], search.mean * spans)
        if len(worth) == search.popsize:
            search.tell(points, [-order.scalar(fitness) for fitness in worth])


if __name__ == "__main__":
    main()
