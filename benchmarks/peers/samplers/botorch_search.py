"""Runs inside BoTorch's environment: log noisy expected improvement, of the hypervolume where a front counts.

A quasi-random beginning of twice as many points as there are genes (at most a quarter of the budget), then a
Gaussian process over the objectives and its best point, one after the other.
"""

from __future__ import annotations

import warnings
from typing import Any

from benchmarks.peers.samplers.pipe import Order, evaluate, read_order

RESTARTS, RAW_SAMPLES, DRAWS = 6, 128, 64


def main() -> None:
    """Asks until the other side is gone."""
    import torch
    from botorch.utils.sampling import draw_sobol_samples

    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    order = read_order()
    torch.manual_seed(order.seed)
    low, high = (torch.tensor([getattr(gene, end) for gene in order.genes]) for end in ("low", "high"))
    cube = torch.stack([torch.zeros(len(low)), torch.ones(len(low))])
    begin = max(4, min(2 * len(order.genes), order.budget // 4))
    known = draw_sobol_samples(cube, n=begin, q=1, seed=order.seed).squeeze(1)
    worth = [order.goals(evaluate(order, [(low + one * (high - low)).tolist()])[0]) for one in known]
    while True:
        point = _proposed(order, known, torch.tensor(worth), cube)
        worth.append(order.goals(evaluate(order, [(low + point * (high - low)).tolist()])[0]))
        known = torch.cat([known, point[None]])


def _proposed(order: Order, known: Any, worth: Any, cube: Any) -> Any:  # noqa: ANN401 - tensors
    """Returns the point of the unit cube that promises most."""
    import torch
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Standardize
    from botorch.optim import optimize_acqf
    from gpytorch.mlls import ExactMarginalLogLikelihood

    model = SingleTaskGP(known, worth, outcome_transform=Standardize(m=worth.shape[-1]))
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    found, _ = optimize_acqf(
        _acquisition(order, model, known, torch.Size([DRAWS])),
        bounds=cube,
        q=1,
        num_restarts=RESTARTS,
        raw_samples=RAW_SAMPLES,
    )
    return found.detach()[0]


def _acquisition(order: Order, model: Any, known: Any, draws: Any) -> Any:  # noqa: ANN401 - foreign classes
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement
    from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
    from botorch.sampling import SobolQMCNormalSampler

    sampler = SobolQMCNormalSampler(draws, seed=order.seed)
    if not order.is_front:
        return qLogNoisyExpectedImprovement(model, known, sampler=sampler, prune_baseline=True)
    return qLogNoisyExpectedHypervolumeImprovement(
        model, [0.0] * len(order.weights), known, sampler=sampler, prune_baseline=True
    )


if __name__ == "__main__":
    main()
