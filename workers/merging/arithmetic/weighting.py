"""Dividing by the sum of the weights, where that can be done."""

from __future__ import annotations

import math
from collections.abc import Sequence

from workers.errors import MergeError

_NOTHING = 1e-8  # relative to the weights' size: what rounding leaves of a sum that is zero


def cancels(total: float, weights: Sequence[float]) -> bool:
    """Says whether weights of this total cancel each other."""
    return abs(total) <= _NOTHING * math.fsum(abs(weight) for weight in weights)


def normalizer(weights: Sequence[float], *, switch: str = "normalize") -> float:
    """Returns the sum of the weights, by which the method divides because of `switch`.

    Raises:
        MergeError: It is zero.
    """
    total = math.fsum(weights)
    if cancels(total, weights):
        raise MergeError(
            "weight",
            f"the weights {list(weights)} sum to 0 and {switch} divides by their sum",
            f"change a weight or write {switch}: false",
        )
    return total
