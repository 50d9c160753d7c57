"""Isotropic merging: the sum of the task vectors, all its singular values made equal.

Marczak et al., "No Task Left Behind: Isotropic Model Merging with Common and Task-Specific Subspaces",
arXiv 2502.04959 (Iso-C).  For matrices:

    sum_i w_i (W_i - W_0) = U diag(S) V^T,   W = W_0 + lambda mean(S) U V^T

Other tensors take the mean, W_0 + lambda sum_i w_i (W_i - W_0) / T.  Directions without a singular value
count in the mean, but stay zero: nothing determines them.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from workers.merging.arithmetic.matrices import on_matrices, rounded, task_vectors
from workers.merging.arithmetic.prepared import kernel_of
from workers.merging.arithmetic.singular_vectors import singular_vectors
from workers.merging.kernel import Ingredients, Preparation


def _prepare(ingredients: Ingredients) -> tuple[Tensor, ...]:
    weights = ingredients.per_parent["weight"]
    deltas = task_vectors(ingredients)
    if not deltas:
        return ()
    total = deltas[0] * weights[0]
    for delta, weight in zip(deltas[1:], weights[1:], strict=True):
        total.add_(delta, alpha=weight)
    made = on_matrices(ingredients, [total], _equalized, lambda sums: [sums[0] / len(deltas)])
    return rounded(made, ingredients)


def _equalized(sums: Sequence[Tensor]) -> Sequence[Tensor]:
    found = singular_vectors(sums[0])
    mean = found.s.sum() / min(sums[0].shape)
    return [(found.u * mean) @ found.v.T]


def _coefficients(ingredients: Ingredients) -> tuple[float, ...]:
    return (ingredients.shared["lambda"],) if ingredients.parents else ()


ISO_C = Preparation(_prepare, _coefficients, ("weight", "exclude_embeddings", "split_fused"))
iso_c = kernel_of(ISO_C)
