"""Runs inside pymoo's environment: NSGA-II as mergenetic runs it, over the same bounds."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.samplers.pipe import evaluate, read_order

POPULATION = 12  # what CMA-ES takes for so many genes


def main() -> None:
    """Asks until the other side is gone."""
    import numpy as np
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.core.termination import NoTermination

    order = read_order()
    low, high = (np.array([getattr(gene, end) for gene in order.genes]) for end in ("low", "high"))
    goals = len(order.goals(order.weights))
    problem = Problem(n_var=len(low), n_obj=goals, xl=low, xu=high)
    search: Any = NSGA2(pop_size=POPULATION)
    search.setup(problem, termination=NoTermination(), seed=order.seed, verbose=False)
    while True:
        asked = search.ask()
        worth = evaluate(order, asked.get("X"))
        if len(worth) == len(asked):
            asked.set("F", np.array([[-goal for goal in order.goals(fitness)] for fitness in worth]))
            search.tell(infills=asked)


if __name__ == "__main__":
    main()
