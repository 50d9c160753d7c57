"""TIES on the factors of LoRA adapters: GENOME's crossover.

Zhang et al., "Nature-Inspired Population-Based Evolution of Large Language Models", arXiv 2503.01155,
merge the factors A and B each for itself, not their product, by peft's TIES:

    x'_i = the floor(density * N) entries of x_i largest in magnitude
    s    = sign of sum_i x'_i, plus where it is zero;   m_i = [sign(x'_i) = s]      elementwise
    x    = sum_i m_i w_i x'_i / max(1, sum_i m_i)

The signs are elected without the weights, and the sum is divided by how many agree, so that weights
below 1 shrink the result; the merge method `ties` does neither.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workers.errors import MismatchError
from workers.merging.thinning.sparsify import keep_ranks, share_of


def ties_of_factors(factors: Sequence[Tensor], weights: Sequence[float], density: float) -> Tensor:
    """Returns one factor made of several [...], float32 or wider.

    Args:
        factors: Of the adapters, of one shape.
        weights: One per adapter.
        density: Share of the entries that is kept, 0 to 1.

    Raises:
        MismatchError: They have different shapes.
    """
    if len({tuple(factor.shape) for factor in factors}) != 1:
        shapes = " and ".join(sorted({str(list(factor.shape)) for factor in factors}))
        raise MismatchError("factors", f"have shapes {shapes}", "merge adapters of one base and one rank")
    wide = torch.promote_types(factors[0].dtype, torch.float32)
    kept = [
        keep_ranks(factor.to(wide).contiguous().clone(), 0, share_of(factor.numel(), density))
        for factor in factors
    ]
    stacked = torch.stack(kept)
    elected = torch.where(stacked.sum(0) >= 0.0, 1.0, -1.0)
    agreeing = stacked.sign() == elected
    scales = torch.tensor(weights, dtype=wide).view(-1, *[1] * factors[0].dim())
    return (stacked * scales * agreeing).sum(0) / agreeing.sum(0).clamp(min=1)
