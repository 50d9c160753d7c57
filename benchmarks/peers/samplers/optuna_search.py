"""Runs inside Optuna's environment: one of its samplers as it comes, candidates one after the other."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.samplers.pipe import Order, evaluate, read_order


def main() -> None:
    """Asks until the other side is gone."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    order = read_order()
    goals = len(order.goals(order.weights))
    study: Any = optuna.create_study(directions=["maximize"] * goals, sampler=_sampler(optuna, order))
    space = {
        f"gene {place:04d}": optuna.distributions.FloatDistribution(gene.low, gene.high)
        for place, gene in enumerate(order.genes)
    }
    while True:
        trial = study.ask(space)
        (worth,) = evaluate(order, [[trial.params[name] for name in space]])
        study.tell(trial, list(order.goals(worth)))


def _sampler(optuna: Any, order: Order) -> Any:  # noqa: ANN401 - a foreign module and class
    name = order.settings["sampler"]
    if name == "gp":
        import torch

        torch.set_num_threads(1)
    kinds = {"tpe": "TPESampler", "gp": "GPSampler", "cma_es": "CmaEsSampler"}
    return getattr(optuna.samplers, kinds[name])(seed=order.seed)


if __name__ == "__main__":
    main()
