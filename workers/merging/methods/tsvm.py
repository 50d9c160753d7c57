"""TSV-Merge: the tasks' leading singular vectors, made orthogonal to each other.

Gargiulo et al., "Task Singular Vectors: Reducing Task Interference in Model Merging", arXiv 2412.00081,
algorithm 1.  For a matrix [m, n] and T parents:

    W_i - W_0 = U_i diag(S_i) V_i^T,   of which the k = floor(min(m, n) rank / T) leading ones are kept
    U = [U_1 ... U_T] = P D Q^T,       U' = P Q^T = [U'_1 ... U'_T];   V' likewise
    W = W_0 + lambda sum_i w_i U'_i diag(S_i) V'_i^T

`variant: lossless` keeps all singular vectors.  Other tensors, and matrices too small for k >= 1, take
the mean: W_0 + lambda sum_i w_i (W_i - W_0) / T.  The w_i and lambda scale what is prepared, and cost
nothing.  Unlike the authors' code, directions without a singular value take no part: a parent that
leaves a matrix as it was does not turn the others' vectors, and parents that are equal give one result
on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workers.merging.arithmetic.matrices import means, on_matrices, rounded, task_vectors
from workers.merging.arithmetic.prepared import kernel_of, weights_times_lambda
from workers.merging.arithmetic.singular_vectors import nearest_orthonormal, singular_vectors
from workers.merging.kernel import Ingredients, Preparation


def orthogonalized(deltas: Sequence[Tensor], ranks: Sequence[int]) -> list[Tensor]:
    """Returns U'_i diag(S_i) V'_i^T [m, n] for task vectors [m, n] in float64, cut to these ranks."""
    found = [singular_vectors(delta, rank) for delta, rank in zip(deltas, ranks, strict=True)]
    sizes = [len(one.s) for one in found]
    u = torch.split_with_sizes(nearest_orthonormal(torch.cat([one.u for one in found], 1)), sizes, 1)
    v = torch.split_with_sizes(nearest_orthonormal(torch.cat([one.v for one in found], 1)), sizes, 1)
    return [(u_i * one.s) @ v_i.T for u_i, one, v_i in zip(u, found, v, strict=True)]


def _prepare(ingredients: Ingredients) -> tuple[Tensor, ...]:
    lossless = ingredients.choices["variant"] == "lossless"

    def decompose(deltas: Sequence[Tensor]) -> Sequence[Tensor]:
        shorter, share = min(deltas[0].shape), ingredients.shared["rank"] * (1 / len(deltas))
        rank = shorter if lossless else int(shorter * share)
        return orthogonalized(deltas, [rank] * len(deltas)) if rank > 0 else means(deltas)

    made = on_matrices(ingredients, task_vectors(ingredients), decompose, means)
    return rounded(made, ingredients)


TSVM = Preparation(_prepare, weights_times_lambda, ("rank", "variant", "exclude_embeddings", "split_fused"))
tsvm = kernel_of(TSVM)
