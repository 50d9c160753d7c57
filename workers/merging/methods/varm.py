"""VaRM: every matrix is mixed by how much each parent changed it.

Wan et al., "Knowledge fusion of chat LLMs", arXiv 2402.16107 (variation ratio merge).

    w_i = mean(d_i^2) / sum_j mean(d_j^2),   W = W_0 + lambda sum_i w_i d_i,   d_i = W_i - W_0

W_0, W_i [...]; w_i, lambda numbers.  Where no parent changed anything, the base.
"""

from __future__ import annotations

import numpy as np

from workers.merging.arithmetic.mixtures import around_base, kernel_of
from workers.merging.kernel import Mixture, Scalars


def _weights(scalars: Scalars) -> tuple[float, ...]:
    squares = np.diagonal(scalars.gram)
    total = float(squares.sum())
    if total == 0.0:
        return around_base((0.0,) * len(squares), with_base=True)
    return around_base((scalars.shared["lambda"] / total * squares).tolist(), with_base=True)


VARM = Mixture(_weights, "task_vectors")
varm = kernel_of(VARM)
