"""DELLA without sign election: drop by rank and at random, rescale, add.

Deep et al., "DELLA-Merging", arXiv 2406.11617, section 3.1.

    d_i = rescale(b_i (W_i - W_0)),  b_i ~ Bernoulli(p) by rank    (workers.merging.thinning.rank_dropping)
    W   = W_0 + lambda sum_i w_i d_i                               (with `normalize`: divided by sum_i w_i)

W_0, W_i, b_i [...] of one shape; w_i, lambda numbers.
"""

from __future__ import annotations

from torch import Tensor

from workers.merging.arithmetic.task_vectors import add_task_vectors, rescaled
from workers.merging.kernel import Ingredients
from workers.merging.thinning.rank_dropping import drop_by_rank


def della_linear(ingredients: Ingredients) -> Tensor:
    """Returns the base plus the weighted sum of the task vectors, thinned out by rank.

    Raises:
        MergeError: density +- epsilon is no probability, or the weights sum to zero and `normalize` is on.
    """
    return add_task_vectors(ingredients, rescaled(drop_by_rank))
