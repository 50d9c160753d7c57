"""Model Breadcrumbs: drop the largest and the smallest entries of the task vectors, add the rest.

Davari and Belilovsky, "Model Breadcrumbs", arXiv 2312.06795.

    d_i = middle(W_i - W_0, density_i, gamma_i)        (workers.merging.thinning.outliers)
    W   = W_0 + lambda sum_i w_i d_i                   (with `normalize`: divided by sum_i w_i)

W_0, W_i, d_i [...] of one shape; w_i, density_i, gamma_i, lambda numbers.  `granularity: row` with
weights 1 is the paper's own code (alpha is lambda), `tensor` is mergekit 0.1.5, and `global` ranks
each parent's whole task vector, keeping all entries that are as large as a bound.
"""

from __future__ import annotations

from torch import Tensor

from workers.merging.arithmetic.task_vectors import add_task_vectors, rescaled
from workers.merging.kernel import Ingredients
from workers.merging.thinning.outliers import keep_middle


def breadcrumbs(ingredients: Ingredients) -> Tensor:
    """Returns the base plus the weighted sum of the middles of the task vectors.

    Raises:
        MergeError: The weights sum to zero and `normalize` is on.
    """
    return add_task_vectors(ingredients, rescaled(keep_middle))
