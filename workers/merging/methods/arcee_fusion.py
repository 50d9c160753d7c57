"""Arcee Fusion: a second model's entries are taken where they matter most.

As in mergekit (Goddard et al., arXiv 2403.13257), whose authors published no paper on it.

    p = softmax(W_1) + 1e-8,   q = softmax(W_0) + 1e-8        along the last dimension
    S = |W_1 - W_0| . sum p ln(p / q)                         the sum along the last dimension
    W = W_0 + (W_1 - W_0) . [S >= median(S) + spread (Q3(S) - Q1(S))]

W_0, W_1, S [...] the base, the other model and the importance of its entries; Q1, median and Q3 are
S in ascending order at floor(q (m - 1)) of all m entries, for q = 1/4, 1/2 and 3/4.  mergekit's spread
is 1.5.  For tensors of more than a million entries mergekit estimates them from a random sample; here
they are exact, so that equal recipes give equal models.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workers.merging.arithmetic.rows import as_rows, row_products
from workers.merging.arithmetic.task_vectors import base_tensor
from workers.merging.kernel import Ingredients

_FLOOR = 1e-8


def arcee_fusion(ingredients: Ingredients) -> Tensor:
    """Returns the base with the most important entries of the other model."""
    base = base_tensor(ingredients)
    if not ingredients.parents or base.numel() == 0:
        return base
    (parent,) = ingredients.parents
    other = parent.to(base.dtype)
    delta = other - base
    importance = delta.abs() * _divergence(other, base)
    first, median, third = (_order_statistic(importance, quarter) for quarter in (1, 2, 3))
    threshold = median + ingredients.shared["spread"] * (third - first)
    # What is not below is taken, so that NaN is taken too and shows in the result.
    return torch.where(importance < threshold, torch.zeros_like(delta), delta).add_(base)


def _divergence(other: Tensor, base: Tensor) -> Tensor:
    """Returns the Kullback-Leibler divergence of the rows' softmax distributions [..., 1]."""
    p = torch.softmax(other, dim=-1) + _FLOOR
    q = torch.softmax(base, dim=-1) + _FLOOR
    found = row_products(as_rows(p), as_rows((p / q).log())).to(base.dtype)
    return found.reshape(*base.shape[:-1], 1) if base.dim() else found.reshape(())


def _order_statistic(values: Tensor, quarter: int) -> Tensor:
    """Returns the entry at floor(quarter / 4 (m - 1)) of the m entries in ascending order."""
    position = quarter * (values.numel() - 1) // 4
    return torch.kthvalue(values.reshape(-1), position + 1).values
