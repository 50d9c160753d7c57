"""TIES: trim, elect a sign, merge what agrees.

Yadav et al., "TIES-Merging", arXiv 2306.01708, algorithm 1; trimmed tensor by tensor.

    d_i = trim(W_i - W_0, density_i)                            the largest entries by magnitude
    s   = sign(sum_i w_i d_i),  m_i = [sign(w_i d_i) = s]       elementwise
    W   = W_0 + lambda sum_i m_i w_i d_i / sum_i m_i w_i        (without `normalize`: undivided)

W_0, W_i, d_i, s, m_i [...] of one shape; w_i, density_i, lambda numbers.
"""

from __future__ import annotations

from torch import Tensor

from workers.merging.kernel import Ingredients
from workers.merging.sign_election import merge_by_elected_sign
from workers.merging.sparsify import keep_largest


def ties(ingredients: Ingredients) -> Tensor:
    """Returns the base plus the mean of the trimmed task vectors that agree in sign."""
    return merge_by_elected_sign(ingredients, keep_largest)
