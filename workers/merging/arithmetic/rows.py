"""Tensors as lists of rows, for methods that treat every row of a matrix as a vector of its own.

A row is what lies along the last dimension: a matrix [out, in] has `out` rows, a vector is one row,
a tensor of more dimensions has as many rows as all but its last dimension hold.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workers.merging.arithmetic.precision import chunk_length

_RUN = 4096


def as_rows(tensor: Tensor) -> Tensor:
    """Returns the tensor as [rows, columns], a view where that is possible."""
    if tensor.dim() < 2 or tensor.numel() == 0:
        return tensor.reshape(1, -1)
    return tensor.reshape(-1, tensor.shape[-1])


def row_products(left: Tensor, right: Tensor) -> Tensor:
    """Returns sum_c x_rc y_rc for every row r: [rows] in float64, for [rows, columns].

    Runs of columns are summed first and then their sums, so that the number of threads changes no bit.
    """
    rows, columns = left.shape
    found = torch.zeros(rows, dtype=torch.float64, device=left.device)
    if not columns:
        return found
    step = max(1, chunk_length(left.device) // columns)
    for start in range(0, rows, step):
        part = slice(start, start + step)
        for first in range(0, columns, _RUN):
            run = slice(first, first + _RUN)
            found[part] += (left[part, run].double() * right[part, run].double()).sum(dim=1)
    return found
