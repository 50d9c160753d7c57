"""In what precision and in which portions kernels compute."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from workers.errors import MergeError

_ROW = 4096


def accumulation_dtype(tensor: Tensor) -> torch.dtype:
    """Returns float32, or the tensor's own dtype where that is wider."""
    return torch.promote_types(tensor.dtype, torch.float32)


def chunk_length(device: torch.device) -> int:
    """Returns how many elements to treat at once: a processor's cache, or a GPU's worth of threads."""
    return 1 << 18 if device.type == "cpu" else 1 << 24


def l1_norm(tensor: Tensor) -> float:
    """Returns sum |x|.  Summed row by row, so that the number of threads changes no bit of it."""
    flat = tensor.reshape(-1)
    whole = flat.numel() // _ROW * _ROW
    rows = torch.linalg.vector_norm(flat[:whole].view(-1, _ROW), ord=1, dim=1).sum(dtype=torch.float64)
    rest = torch.linalg.vector_norm(flat[whole:], ord=1, dtype=torch.float64)
    return float(rows + rest)


def dot(left: Tensor, right: Tensor) -> float:
    """Returns <x, y> over all elements, accumulated in float64 without a full-size copy."""
    total = torch.zeros((), dtype=torch.float64, device=left.device)
    length, left, right = chunk_length(left.device), left.reshape(-1), right.reshape(-1)
    for start in range(0, left.numel(), length):
        part = slice(start, start + length)
        total += torch.dot(left[part].double(), right[part].double())
    return float(total)


def is_finite(tensor: Tensor) -> bool:
    """Says whether the tensor holds neither NaN nor infinity; integers never do."""
    if tensor.numel() == 0 or not tensor.is_floating_point():
        return True
    if tensor.dtype.itemsize == 1:  # eight-bit floats have no arithmetic
        tensor = tensor.float()
    low, high = torch.aminmax(tensor)  # one pass, no mask in memory; NaN comes through
    return math.isfinite(float(low)) and math.isfinite(float(high))


def check_finite(name: str, tensor: Tensor) -> None:
    """Refuses a tensor that holds NaN or infinity.

    Raises:
        MergeError: It does; the message says how many of its values are at fault.
    """
    if is_finite(tensor):
        return
    broken = int((~torch.isfinite(tensor.float())).sum())
    raise MergeError(
        name, f"{broken} of {tensor.numel()} values are NaN or infinite", "use a sound copy of the checkpoint"
    )
