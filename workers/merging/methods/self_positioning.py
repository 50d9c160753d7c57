"""Self Positioning: a chain of arcs through the task vectors of whole models.

Li et al., "Improving general text embedding model: tackling task conflict and data imbalance through
model merging", arXiv 2410.15035.

    V_1 = d_1,   V_n = SLERP(V_{n-1}, d_n; b_n),   b_n = a_n / (mean(a_1 ... a_{n-1}) + a_n)
    W = W_0 + lambda V_N

d_i = W_i - W_0 over the whole model: the angles are those of all tensors together, which a survey
measures once.  a_i the parents' `position`s, lambda a number; they may differ from tensor to tensor.
Between opposite vectors, further than 178.2 degrees apart, SLERP takes the straight line; so it does where
the arcs together would take a d_i more than 32 times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workers.errors import MergeError
from workers.merging.arithmetic.mixtures import Gram, around_base, inner_products, kernel_of
from workers.merging.degenerate import blows_up
from workers.merging.kernel import Mixture, Portion, Scalars, Survey
from workers.merging.methods.slerp import arc_shares, cosine_in


def whole_model_products(portions: Sequence[Portion]) -> Gram:
    """Returns the inner products [n, n] of the parents' task vectors over all tensors."""
    total: Gram = np.zeros((0, 0))
    for portion in portions:
        ingredients = portion.load()
        found = inner_products(ingredients.parents, ingredients.base)
        total = found if not len(total) else total + found
    return total


def self_positions(gram: Gram, positions: Sequence[float]) -> tuple[float, ...]:
    """Returns V_N as coefficients of the task vectors.

    Args:
        gram: The task vectors' inner products [n, n].
        positions: a_1 ... a_n, none of them negative.

    Raises:
        MergeError: A parent and all before it have the position 0.
    """
    count = len(positions)
    chain = np.eye(count)[:, 0] if count else np.zeros(0)
    for n in range(1, count):
        before = sum(positions[:n]) / n
        if before + positions[n] == 0.0:
            raise MergeError(
                "position", f"the first {n + 1} of {list(positions)} are 0", "give one of them more than 0"
            )
        span = np.stack([chain, np.eye(count)[:, n]])  # V_{n-1} and d_n
        cosine = cosine_in(span @ gram @ span.T, shortest=0.0)
        position = positions[n] / (before + positions[n])
        arc = np.array(arc_shares(cosine, position, parallel=1.0 - 1e-12)) @ span
        chain = np.array((1.0 - position, position)) @ span if blows_up(arc) else arc
    return tuple(chain.tolist())


def _weights(scalars: Scalars) -> tuple[float, ...]:
    gram: Gram = scalars.findings
    factor = scalars.shared["lambda"]
    positions = scalars.per_parent["position"]
    if not np.isfinite(gram).all():
        return around_base([float("nan")] * len(positions), with_base=True)
    return around_base([factor * share for share in self_positions(gram, positions)], with_base=True)


SELF_POSITIONING = Mixture(_weights, "nothing")
SELF_POSITIONING_SURVEY = Survey(whole_model_products)
self_positioning = kernel_of(SELF_POSITIONING)
