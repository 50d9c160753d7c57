"""RAM: what one parent alone changed is kept whole, what several changed is averaged.

"Behavior knowledge merge in reinforced agentic models" (Reinforced Agent Merging), arXiv 2601.13572.

    d_i = W_i - W_0,   m_i = [|d_i| > epsilon],   n = sum_i m_i                   elementwise
    RAM:     W = W_0 + sum_i m_i d_i / max(n, 1)
    RAM+TL:  parent i's entries with n = 1 times 1 + r clamp(rho_i, 0, alpha),
             rho_i = #(m_i and n > 1) / #(m_i and n = 1)

W_0, W_i, d_i, m_i, n [...] of one shape; epsilon, r, alpha, rho_i numbers per tensor.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workers.merging.arithmetic.task_vectors import base_tensor
from workers.merging.kernel import Ingredients


def ram(ingredients: Ingredients) -> Tensor:
    """Returns the base plus what the parents changed, averaged where they overlap."""
    return _merged(ingredients, stretch=False)


def ramplus_tl(ingredients: Ingredients) -> Tensor:
    """Returns the same with each parent's own part stretched, the more the parent shares with others."""
    return _merged(ingredients, stretch=True)


def _merged(ingredients: Ingredients, *, stretch: bool) -> Tensor:
    base, threshold = base_tensor(ingredients), ingredients.shared["epsilon"]
    count = torch.zeros_like(base, dtype=torch.int32)
    for parent in ingredients.parents:
        count += _active(parent.to(base.dtype) - base, threshold)
    alone = count == 1
    divisor = count.clamp(min=1)
    total = torch.zeros_like(base)
    for parent in ingredients.parents:
        delta = parent.to(base.dtype) - base
        active = _active(delta, threshold)
        share = torch.where(active, delta, torch.zeros_like(delta)) / divisor
        if stretch:
            share = torch.where(alone, share * _stretch(ingredients, active, alone), share)
        total += share
    return total.add_(base)


def _active(delta: Tensor, threshold: float) -> Tensor:
    """Returns where a parent changed something; NaN counts, so that it shows in the result."""
    return ~(delta.abs() <= threshold)


def _stretch(ingredients: Ingredients, active: Tensor, alone: Tensor) -> float:
    """Returns the factor on what a parent alone changed: 1 + r clamp(rho, 0, alpha)."""
    unique = int((active & alone).sum())
    shared = int(active.sum()) - unique
    most = ingredients.shared["alpha"]
    rho = shared / unique if unique else most
    return 1.0 + ingredients.shared["r"] * min(max(rho, 0.0), most)
