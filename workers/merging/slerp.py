"""Spherical interpolation between two parents.

Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985.

    c = <A, B> / (|A| |B|),  theta = arccos c
    W = sin((1 - t) theta) / sin(theta) A  +  sin(t theta) / sin(theta) B

A, B [...] the first and the second parent, flattened for the product; t a number: 0 gives A, 1
gives B, more or less extrapolates.  Where A and B are (anti)parallel, |c| > 0.9995, the great circle
is not defined or not needed, and the straight line (1 - t) A + t B is taken.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from workers.merging.kernel import Ingredients
from workers.merging.precision import accumulation_dtype, dot

_PARALLEL = 0.9995
_SHORTEST = 1e-8  # a shorter vector has no direction


def slerp(ingredients: Ingredients) -> Tensor:
    """Returns the point at `t` of the arc from the first parent to the second."""
    start, end = ingredients.parents
    dtype = torch.promote_types(accumulation_dtype(start), end.dtype)
    start, end = start.to(dtype), end.to(dtype)
    of_start, of_end = arc_shares(_cosine(start, end), ingredients.shared["t"])
    return torch.mul(start, of_start).add_(end, alpha=of_end)


def arc_shares(cosine: float, t: float) -> tuple[float, float]:
    """Returns the factors of the two ends for a point of the arc between them."""
    if abs(cosine) > _PARALLEL:
        return 1.0 - t, t
    angle = math.acos(cosine)
    return math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def _cosine(start: Tensor, end: Tensor) -> float:
    """The cosine between two tensors; a vector without length stands at a right angle to all."""
    lengths = (math.sqrt(dot(start, start)), math.sqrt(dot(end, end)))
    if min(lengths) <= _SHORTEST:
        return 0.0
    return min(max(dot(start, end) / lengths[0] / lengths[1], -1.0), 1.0)
