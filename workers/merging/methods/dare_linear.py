"""DARE: drop entries of the task vectors at random, rescale the rest, add.

Yu et al., "Language models are super Mario", arXiv 2311.03099, section 3.2.

    d_i = rescale(b_i (W_i - W_0)),  b_i ~ Bernoulli(density_i) elementwise
    W   = W_0 + lambda sum_i w_i d_i        (with `normalize`: divided by sum_i w_i)

W_0, W_i, b_i [...] of one shape.  The paper rescales by 1 / density; here, as in mergekit, by the
factor that restores the L1 norm, which is near it.  The masks b_i come from the parents' seeds.
"""

from __future__ import annotations

from torch import Tensor

from workers.merging.arithmetic.task_vectors import add_task_vectors, rescaled
from workers.merging.kernel import Ingredients
from workers.merging.thinning.random_dropping import drop_at_random


def dare_linear(ingredients: Ingredients) -> Tensor:
    """Returns the base plus the weighted sum of randomly thinned task vectors.

    Raises:
        MergeError: The weights sum to zero and `normalize` is on.
    """
    return add_task_vectors(ingredients, rescaled(drop_at_random))
