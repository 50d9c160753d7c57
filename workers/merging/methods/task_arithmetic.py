"""Task arithmetic: the base plus a weighted sum of task vectors.

Ilharco et al., "Editing models with task arithmetic", arXiv 2212.04089, section 2.

    W = W_0 + lambda sum_i w_i (W_i - W_0)        (with `normalize`: divided by sum_i w_i)

W_0 [...] the base, W_i [...] the parents; w_i, lambda numbers.
"""

from __future__ import annotations

from torch import Tensor

from workers.merging.arithmetic.task_vectors import add_task_vectors
from workers.merging.kernel import Ingredients


def task_arithmetic(ingredients: Ingredients) -> Tensor:
    """Returns the base plus the weighted sum of the parents' task vectors.

    Raises:
        MergeError: The weights sum to zero and `normalize` is on.
    """
    return add_task_vectors(ingredients)
