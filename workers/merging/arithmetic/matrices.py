"""Which tensors are matrices that methods on singular vectors decompose, and what becomes of the rest.

Vectors, stacks of matrices and empty tensors are none.  Embeddings and heads are left out by default
(`exclude_embeddings`): their rows are tokens, not features, and there are very many.  Layers that hold
several matrices are taken apart first (`split_fused`), where name and shape leave no doubt:

* `gate_up_proj`: the upper and the lower half;
* `qkv_proj`, `c_attn`: three equal blocks, along the rows, or along the columns as GPT-2 stores them.

Not taken apart: query, key and value of unequal sizes (grouped heads), and GPT-NeoX's and Falcon's
`query_key_value`, whose rows are sorted by head.  They count as one matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from workers.merging.arithmetic.blas_threads import one_thread
from workers.merging.arithmetic.precision import is_finite
from workers.merging.arithmetic.task_vectors import base_tensor
from workers.merging.kernel import Ingredients

_NOT_FEATURES = ("embed", "wte", "wpe", "lm_head")
_IN_HALVES = ("gate_up_proj",)
_IN_THIRDS = ("qkv_proj", "c_attn")

OnMatrices = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""Task vectors [m, n] in float64, one per parent -> tensors [m, n]."""


def task_vectors(ingredients: Ingredients) -> list[Tensor]:
    """Returns the parents' task vectors [...]: in float64 where they are to be decomposed."""
    base = base_tensor(ingredients)
    if _is_matrix(ingredients):
        base = base.double()
    return [parent.to(base.dtype) - base for parent in ingredients.parents]


def on_matrices(
    ingredients: Ingredients, deltas: Sequence[Tensor], decompose: OnMatrices, otherwise: OnMatrices
) -> list[Tensor]:
    """Returns what a method makes of task vectors [...]: by decomposing them, or otherwise.

    Where an entry is NaN or infinite nothing can be decomposed: then, too, it is made otherwise, and
    the broken number shows in the result.
    """
    if not deltas:
        return []
    sound = all(is_finite(delta) for delta in deltas)
    if not sound or not _is_matrix(ingredients):
        return list(otherwise(deltas))
    axis, blocks = _blocks(ingredients) if ingredients.shared["split_fused"] else (0, 1)
    parts = [delta.chunk(blocks, dim=axis) for delta in deltas]
    with one_thread() if deltas[0].device.type == "cpu" else nullcontext():
        made = [decompose(matrices) for matrices in zip(*parts, strict=True)]
    return [torch.cat(pieces, dim=axis) for pieces in zip(*made, strict=True)]


def matrices_in(ingredients: Ingredients, tensor: Tensor) -> tuple[Tensor, ...]:
    """Returns the matrices that a tensor of these ingredients holds, views; none where it is no matrix."""
    if not _is_matrix(ingredients):
        return ()
    axis, blocks = _blocks(ingredients) if ingredients.shared["split_fused"] else (0, 1)
    return tensor.chunk(blocks, dim=axis)


def rounded(tensors: Sequence[Tensor], ingredients: Ingredients) -> tuple[Tensor, ...]:
    """Returns the tensors in float32, or float64 where the base is that wide."""
    base = ingredients.base
    wide = base is not None and base.dtype == torch.float64
    return tuple(tensor.to(torch.float64 if wide else torch.float32) for tensor in tensors)


def means(deltas: Sequence[Tensor]) -> list[Tensor]:
    """Returns each task vector's part in their mean."""
    return [delta / len(deltas) for delta in deltas]


def _is_matrix(ingredients: Ingredients) -> bool:
    shape = _shape(ingredients)
    if len(shape) != 2 or 0 in shape:
        return False
    excluded = any(part in ingredients.name for part in _NOT_FEATURES)
    return not (excluded and ingredients.shared["exclude_embeddings"])


def _blocks(ingredients: Ingredients) -> tuple[int, int]:
    """Returns the axis along which a tensor holds several matrices, and how many."""
    rows, columns = _shape(ingredients)
    if any(part in ingredients.name for part in _IN_HALVES) and rows % 2 == 0:
        return 0, 2
    if any(part in ingredients.name for part in _IN_THIRDS):
        if rows == 3 * columns:
            return 0, 3
        if columns == 3 * rows:
            return 1, 3
    return 0, 1


def _shape(ingredients: Ingredients) -> tuple[int, ...]:
    return () if ingredients.base is None else tuple(ingredients.base.shape)
