"""Which methods the passes can carry out; known before any loop is loaded."""

from __future__ import annotations

import math

from workers.merging.fast.thinned.thinning import THINNING
from workers.merging.methods import MIXTURES
from workers.merging.plan import TensorPlan

MOST_INPUTS = 8
"""With more the compiler no longer writes the passes' inner loops out, and is slower than torch."""


def has_fast_way(plan: TensorPlan) -> bool:
    """Says whether the passes alone can make a tensor, if its inputs are stored as they read."""
    return is_summed(plan) or is_sparse(plan)


def is_summed(plan: TensorPlan) -> bool:
    """Says whether one weighted sum makes a tensor."""
    return is_mixture(plan) or plan.kernel == "passthrough"


def is_mixture(plan: TensorPlan) -> bool:
    """Says whether a tensor is a weighted sum of its inputs once inner products are known."""
    mixture = MIXTURES.get(plan.kernel or "")
    return mixture is not None and mixture.applies(plan.choices, plan.shared)


def is_sparse(plan: TensorPlan) -> bool:
    """Says whether a pass over thinned task vectors can make a tensor by its method with these choices."""
    by_row = plan.choices.get("granularity") == "row"
    countable = math.prod(plan.shape) < 2**32  # the passes number entries by 32 bits
    largest = plan.choices.get("merge_function") == "max"
    return plan.kernel in THINNING and countable and not by_row and not largest
