"""Nearswap: the base moves towards a second model, and all the way where the two are near.

As in mergekit (Goddard et al., arXiv 2403.13257); the idea is Alchemonaut's.

    d = W_1 - W_0,   g = clamp(t / max(|d|, 1e-6), 0, 1),   W = W_0 + g d

W_0, W_1 [...] the base and the other model; t a number: no entry moves by more than t.
"""

from __future__ import annotations

from torch import Tensor

from workers.merging.arithmetic.task_vectors import base_tensor
from workers.merging.kernel import Ingredients

_NEAREST = 1e-6


def nearswap(ingredients: Ingredients) -> Tensor:
    """Returns the base, moved towards the other model by at most `t` per entry."""
    base = base_tensor(ingredients)
    if not ingredients.parents:
        return base
    (parent,) = ingredients.parents
    delta = parent.to(base.dtype) - base
    share = delta.abs().clamp_(min=_NEAREST).reciprocal_().mul_(ingredients.shared["t"]).clamp_(0.0, 1.0)
    return delta.mul_(share).add_(base)
