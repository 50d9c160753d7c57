"""DELLA: drop by rank and at random, rescale, elect a sign, merge what agrees.

Deep et al., "DELLA-Merging", arXiv 2406.11617; sign election as TIES (arXiv 2306.01708).

    d_i = rescale(b_i (W_i - W_0)),  b_i ~ Bernoulli(p) by rank    (workers.merging.thinning.rank_dropping)
    s   = sign(sum_i w_i d_i),  m_i = [sign(w_i d_i) = s]
    W   = W_0 + lambda sum_i m_i w_i d_i / sum_i m_i w_i           (without `normalize`: undivided)

W_0, W_i, b_i, s, m_i [...] of one shape; w_i, lambda numbers.  The paper rescales every entry by
1 / p; here, as in mergekit, all by the factor that restores the L1 norm.
"""

from __future__ import annotations

from torch import Tensor

from workers.merging.arithmetic.sign_election import merge_by_elected_sign
from workers.merging.arithmetic.task_vectors import rescaled
from workers.merging.kernel import Ingredients
from workers.merging.thinning.rank_dropping import drop_by_rank


def della(ingredients: Ingredients) -> Tensor:
    """Returns the base plus the task vectors, thinned out by rank, where they agree in sign.

    Raises:
        MergeError: density +- epsilon is no probability.
    """
    return merge_by_elected_sign(ingredients, rescaled(drop_by_rank))
