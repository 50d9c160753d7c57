"""Spherical interpolation of two models by weights, around a base where there is one.

As in mergekit (Goddard et al., arXiv 2403.13257); Shoemake, SIGGRAPH 1985, for the arc.

    x_i = W_i - W_0        (without a base: W_i),   t = w_2 / (w_1 + w_2)
    c = <x_1, x_2> / (|x_1| |x_2|),  theta = arccos c
    W = W_0 + (sin((1 - t) theta) x_1 + sin(t theta) x_2) / sin(theta)

W_0, W_i [...]; w_i, t numbers.  The angle is that of whole tensors (`granularity: tensor`), of every
row, along the last dimension (`row`, or `nuslerp_flatten: false`), or of every column, along the first
(`column`, or with `nuslerp_row_wise: true` as well, which mergekit named by the other convention).
Where the vectors are parallel, or opposite (c < -0.9995, as in slerp: mergekit follows the arc until
rounding ends it, and its factors reach 10^8), the straight line is taken; where w_1 + w_2 is nearly 0,
t = 1/2.  A vector without length stands at a right angle to all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from workers.merging.arithmetic.mixtures import around_base, kernel_of
from workers.merging.arithmetic.precision import accumulation_dtype
from workers.merging.arithmetic.rows import as_rows, row_products
from workers.merging.degenerate import PARALLEL
from workers.merging.kernel import Ingredients, Mixture, Scalars
from workers.merging.methods.slerp import arc_shares, cosine_in

_STRAIGHT = 1e-16  # sin^2 of an angle that is none
_NO_TOTAL = 1e-6


def nuslerp_position(first: float, second: float) -> float:
    """Returns t, how far from the first model to the second."""
    total = first + second
    return 0.5 if abs(total) < _NO_TOTAL else second / total


def nuslerp_granularity(choices: Mapping[str, str], shared: Mapping[str, float]) -> str:
    """Returns `tensor`, `row` or `column`, from our word for it or from mergekit's two switches."""
    word = choices.get("granularity", "tensor")
    if word != "tensor" or shared["nuslerp_flatten"]:
        return word
    return "column" if shared["nuslerp_row_wise"] else "row"


def _weights(scalars: Scalars) -> tuple[float, ...]:
    t = nuslerp_position(*scalars.per_parent["weight"])
    cosine = cosine_in(scalars.gram, shortest=0.0)
    shares = arc_shares(cosine, t, parallel=math.sqrt(1.0 - _STRAIGHT))
    return around_base(shares, with_base=scalars.with_base)


def _is_whole(choices: Mapping[str, str], shared: Mapping[str, float]) -> bool:
    return nuslerp_granularity(choices, shared) == "tensor"


NUSLERP = Mixture(_weights, "task_vectors", _is_whole)
_whole = kernel_of(NUSLERP)


def nuslerp(ingredients: Ingredients) -> Tensor:
    """Returns the point at t of the arc between two models, whole, by rows or by columns."""
    granularity = nuslerp_granularity(ingredients.choices, ingredients.shared)
    if granularity == "tensor":
        return _whole(ingredients)
    dtype = accumulation_dtype(ingredients.parents[0])
    base = None if ingredients.base is None else ingredients.base.to(dtype)
    first, second = (
        parent.to(dtype) if base is None else parent.to(dtype) - base for parent in ingredients.parents
    )
    t = nuslerp_position(*ingredients.per_parent["weight"])
    if granularity == "column" and first.dim() > 1:
        merged = _row_arcs(first.movedim(0, -1), second.movedim(0, -1), t).movedim(-1, 0)
    else:
        merged = _row_arcs(first, second, t)
    return merged.contiguous() if base is None else base + merged


def _row_arcs(start: Tensor, end: Tensor, t: float) -> Tensor:
    """Returns the points at t of the arcs between the rows of two tensors [..., columns]."""
    starts, ends = as_rows(start), as_rows(end)
    lengths = (row_products(starts, starts) * row_products(ends, ends)).sqrt()
    products = row_products(starts, ends)
    cosines = torch.where(lengths == 0.0, torch.zeros_like(products), products / lengths).clamp(-1.0, 1.0)
    angles, sines = cosines.acos(), (1.0 - cosines * cosines).sqrt()
    straight = (1.0 - cosines * cosines <= _STRAIGHT) | (cosines < -PARALLEL)
    of_start = torch.where(straight, 1.0 - t, torch.sin((1.0 - t) * angles) / sines)
    of_end = torch.where(straight, t, torch.sin(t * angles) / sines)
    merged = starts * of_start.to(starts.dtype)[:, None] + ends * of_end.to(starts.dtype)[:, None]
    return merged.reshape(start.shape)
