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

from workers.merging.arithmetic.mixtures import Gram, kernel_of
from workers.merging.degenerate import PARALLEL
from workers.merging.kernel import Mixture, Scalars

_SHORTEST = 1e-8  # a shorter vector has no direction


def arc_shares(cosine: float, t: float, *, parallel: float = PARALLEL) -> tuple[float, float]:
    """Returns the factors of the two ends for a point of the arc between them.

    Args:
        cosine: Of the angle between the ends.
        t: The point: 0 is the first end, 1 the second.
        parallel: From what cosine on the straight line is taken; of opposite ends always from -0.9995 on,
            since the arc between them is not determined and its factors grow beyond all bounds.
    """
    if cosine > parallel or cosine < -PARALLEL:
        return 1.0 - t, t
    angle = math.acos(cosine)
    return math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def cosine_in(gram: Gram, *, shortest: float = _SHORTEST) -> float:
    """Returns the cosine between the first two vectors of a Gram matrix.

    A vector no longer than `shortest` has no direction and stands at a right angle to all.
    """
    lengths = math.sqrt(gram[0, 0]), math.sqrt(gram[1, 1])
    if min(lengths) <= shortest:
        return 0.0
    return min(max(float(gram[0, 1]) / lengths[0] / lengths[1], -1.0), 1.0)


def _weights(scalars: Scalars) -> tuple[float, ...]:
    return arc_shares(cosine_in(scalars.gram), scalars.shared["t"])


SLERP = Mixture(_weights, "inputs")
slerp = kernel_of(SLERP)
