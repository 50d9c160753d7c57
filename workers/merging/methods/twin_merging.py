"""Twin-Merging, exported for fixed router weights: a shared expert and low-rank exclusive knowledge.

Lu et al., "Twin-Merging: Dynamic Integration of Modular Expertise in Model Merging", arXiv 2406.15479.
The paper asks a router for the w_i at every input; here they are given.

    shared = W_0 + shared_weight sum_i (W_i - W_0)
    E_i    = the leading `rank` singular triplets of W_i - shared; all of it for tensors that are no matrix
    W      = shared + sum_i w_i E_i
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workers.errors import MergeError
from workers.merging.arithmetic.matrices import on_matrices, rounded, task_vectors
from workers.merging.arithmetic.prepared import kernel_of
from workers.merging.arithmetic.singular_vectors import singular_vectors
from workers.merging.kernel import Ingredients, Preparation


def _prepare(ingredients: Ingredients) -> tuple[Tensor, ...]:
    """Returns shared - W_0, then the E_i.

    Raises:
        MergeError: The rank is no whole number.
    """
    rank = ingredients.shared["rank"]
    if rank != int(rank):
        raise MergeError("rank", f"{rank:g} singular vectors cannot be kept", "use a whole number")
    deltas = task_vectors(ingredients)
    if not deltas:
        return ()
    shared = torch.stack(deltas).sum(0).mul_(ingredients.shared["shared_weight"])
    exclusive = [delta - shared for delta in deltas]

    def decompose(matrices: Sequence[Tensor]) -> Sequence[Tensor]:
        return [singular_vectors(matrix, int(rank)).product() for matrix in matrices]

    return rounded([shared, *on_matrices(ingredients, exclusive, decompose, list)], ingredients)


def _coefficients(ingredients: Ingredients) -> tuple[float, ...]:
    return (1.0, *ingredients.per_parent["weight"]) if ingredients.parents else ()


TWIN_MERGING = Preparation(
    _prepare, _coefficients, ("shared_weight", "rank", "exclude_embeddings", "split_fused")
)
twin_merging = kernel_of(TWIN_MERGING)
