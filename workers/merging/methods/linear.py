"""Weighted average of the parents.

Wortsman et al., "Model soups", arXiv 2203.05482, section 2.

    W = sum_i w_i W_i / sum_i w_i        (without `normalize`: sum_i w_i W_i)

W_i [...] any shape, the same for all parents; w_i a number.
"""

from __future__ import annotations

from workers.merging.arithmetic.mixtures import kernel_of
from workers.merging.arithmetic.weighting import normalizer
from workers.merging.kernel import Mixture, Scalars


def _weights(scalars: Scalars) -> tuple[float, ...]:
    """Returns the weights as they are said, or divided by their sum.

    Raises:
        MergeError: The weights sum to zero and `normalize` is on.
    """
    weights = scalars.per_parent["weight"]
    divisor = normalizer(weights) if scalars.shared["normalize"] else 1.0
    return tuple(weight / divisor for weight in weights)


LINEAR = Mixture(_weights, "nothing")
linear = kernel_of(LINEAR)
