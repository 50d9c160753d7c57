"""Model Breadcrumbs with TIES' sign election: keep the middle, merge what agrees in sign.

Davari and Belilovsky, arXiv 2312.06795; Yadav et al., arXiv 2306.01708, algorithm 1, steps 2 and 3.

    d_i = middle(W_i - W_0, density_i, gamma_i)        (workers.merging.thinning.outliers)
    s   = sign(sum_i w_i d_i),  m_i = [sign(w_i d_i) = s]
    W   = W_0 + lambda sum_i m_i w_i d_i               (with `normalize`: divided by sum_i m_i w_i)

W_0, W_i, d_i, s, m_i [...] of one shape; w_i, density_i, gamma_i, lambda numbers.  `granularity` is as
in breadcrumbs.
"""

from __future__ import annotations

from torch import Tensor

from workers.merging.arithmetic.sign_election import merge_by_elected_sign
from workers.merging.arithmetic.task_vectors import rescaled
from workers.merging.kernel import Ingredients
from workers.merging.thinning.outliers import keep_middle


def breadcrumbs_ties(ingredients: Ingredients) -> Tensor:
    """Returns the base plus the middles of the task vectors where they agree in sign."""
    return merge_by_elected_sign(ingredients, rescaled(keep_middle))
