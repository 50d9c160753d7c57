"""SCE: select what varies, calculate weights from it, erase the minority's sign.

Wan et al., "FuseChat: knowledge fusion of chat models", arXiv 2408.07990.

    d_i = W_i - W_0
    Select:     v = Var_i(d_i); the floor(select_topk #(v != 0)) largest entries of v are selected
    Calculate:  w_i = mean(d_i^2) / sum_j mean(d_j^2), over selected entries (others count as 0)
    Erase:      e_i = [sgn(d_i) = sgn(sum_j d_j)], a sum of 0 being positive
    W = W_0 + sum_i w_i e_i d_i / sum_i w_i e_i

W_0, W_i, d_i, v, e_i [...] of one shape; w_i numbers.  `select_applies_to: deltas` also sets the entries
of d_i that are not selected to zero, as the paper and mergekit do; `weights` leaves them, as the authors'
code does.  Among entries of equal variance, the first in memory are selected.  Weights from entries
that are all zero are equal.  The variance is that of d_i - d_1, so that equal d_i have none.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from workers.merging.arithmetic.mixtures import inner_products
from workers.merging.arithmetic.task_vectors import base_tensor
from workers.merging.kernel import Ingredients


def sce(ingredients: Ingredients) -> Tensor:
    """Returns the base plus the selected, weighted task vectors that agree in sign."""
    base, share = base_tensor(ingredients), ingredients.shared["select_topk"]
    deltas = [parent.to(base.dtype) - base for parent in ingredients.parents]
    if not deltas or base.numel() == 0:
        return base
    selected = deltas
    if share < 1.0:
        mask = _largest(_variance(deltas), share)
        selected = [torch.where(mask, delta, torch.zeros_like(delta)) for delta in deltas]
    weights = _weights(selected)
    summed = selected if ingredients.choices.get("select_applies_to", "deltas") == "deltas" else deltas
    return base + _erased_mean(summed, weights)


def _variance(deltas: list[Tensor]) -> Tensor:
    """Returns the population variance of every entry over the parents; exactly 0 where all are equal."""
    first = deltas[0]
    mean = torch.zeros_like(first)
    for delta in deltas[1:]:
        mean.add_(delta - first, alpha=1.0 / len(deltas))
    variance = torch.zeros_like(mean)
    for delta in deltas:
        variance.add_((delta - first).sub_(mean).square_(), alpha=1.0 / len(deltas))
    return variance


def _largest(variance: Tensor, share: float) -> Tensor:
    """Returns a mask of the entries that vary most; NaN is always among them, so that it shows."""
    flat = variance.reshape(-1)
    broken = flat.isnan()
    count = min(int(share * int((flat != 0).sum())), flat.numel())
    if count <= 0:
        return broken.reshape(variance.shape)
    threshold = torch.kthvalue(flat, flat.numel() - count + 1).values
    above = flat > threshold
    equal = flat == threshold
    missing = count - int(above.sum())
    mask = above | (equal & (equal.cumsum(0) <= missing)) | broken
    return mask.reshape(variance.shape)


def _weights(deltas: list[Tensor]) -> list[float]:
    squares = [float(inner_products([delta])[0, 0]) for delta in deltas]
    total = math.fsum(squares) if all(map(math.isfinite, squares)) else math.nan
    if total == 0.0:
        return [1.0 / len(squares)] * len(squares)
    return [square / total for square in squares]


def _erased_mean(deltas: list[Tensor], weights: list[float]) -> Tensor:
    """Returns the weighted mean of what agrees with the sum in sign; 0 where nothing does."""
    balance = torch.zeros_like(deltas[0])
    for delta in deltas:
        balance += delta
    positive = balance >= 0
    total, divisor = torch.zeros_like(balance), torch.zeros_like(balance)
    for delta, weight in zip(deltas, weights, strict=True):
        agrees = torch.where(positive, delta > 0, delta < 0) | ~delta.isfinite()
        total += torch.where(agrees, delta * weight, torch.zeros_like(delta))
        divisor += agrees * weight
    return total / torch.where(divisor == 0, torch.ones_like(divisor), divisor)
