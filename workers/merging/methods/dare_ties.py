"""DARE with TIES' sign election: drop at random, rescale, merge what agrees in sign.

Yu et al., arXiv 2311.03099, section 3.2; Yadav et al., arXiv 2306.01708, algorithm 1, steps 2 and 3.

    d_i = rescale(b_i (W_i - W_0)),  b_i ~ Bernoulli(density_i) elementwise
    s   = sign(sum_i w_i d_i),  m_i = [sign(w_i d_i) = s]
    W   = W_0 + lambda sum_i m_i w_i d_i        (with `normalize`: divided by sum_i m_i w_i)

W_0, W_i, b_i, s, m_i [...] of one shape; w_i, density_i, lambda numbers.
"""

from __future__ import annotations

from torch import Tensor

from workers.merging.arithmetic.sign_election import merge_by_elected_sign
from workers.merging.arithmetic.task_vectors import rescaled
from workers.merging.kernel import Ingredients
from workers.merging.thinning.random_dropping import drop_at_random


def dare_ties(ingredients: Ingredients) -> Tensor:
    """Returns the base plus the randomly thinned task vectors where they agree in sign."""
    return merge_by_elected_sign(ingredients, rescaled(drop_at_random))
