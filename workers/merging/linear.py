"""Weighted average of the parents.

Wortsman et al., "Model soups", arXiv 2203.05482, section 2.

    W = sum_i w_i W_i / sum_i w_i        (without `normalize`: sum_i w_i W_i)

W_i [...] any shape, the same for all parents; w_i a number.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workers.merging.kernel import Ingredients
from workers.merging.precision import accumulation_dtype
from workers.merging.weighting import normalizer


def linear(ingredients: Ingredients) -> Tensor:
    """Returns the weighted average of the parents.

    Raises:
        MergeError: The weights sum to zero and `normalize` is on.
    """
    weights = ingredients.per_parent["weight"]
    divisor = normalizer(weights) if ingredients.shared["normalize"] else 1.0
    first = ingredients.parents[0]
    total = torch.zeros_like(first, dtype=accumulation_dtype(first))
    for parent, weight in zip(ingredients.parents, weights, strict=True):
        if weight:
            total.add_(parent.to(total.dtype), alpha=weight / divisor)
    return total
