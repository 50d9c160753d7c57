"""Numbers as they lie in memory, and as the loops compute with them.

numpy knows no bfloat16: such a number is the upper half of a float32, and travels as uint16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]
"""One-dimensional and contiguous: uint16 for bfloat16, or float32."""

STORED = (torch.bfloat16, torch.float32)
"""What the loops read and write; other formats go the reference kernels' way."""

LANES = 1024
"""Into which inner products are summed: entry j goes to the lane j modulo this."""

HALF_OF_ONE = 0x7FFF  # with the lowest bit that stays: rounds to nearest, ties to even
QUIET = 0x40  # makes a quiet NaN of one whose other bits are lost


def is_stored(*tensors: Tensor, like: Tensor) -> bool:
    """Says whether the loops can read these tensors together, and write to `like`."""
    dtype = tensors[0].dtype
    together = all(tensor.dtype == dtype and tensor.is_contiguous() for tensor in tensors)
    on_cpu = all(tensor.device.type == "cpu" for tensor in (*tensors, like))
    return together and on_cpu and like.is_contiguous() and {dtype, like.dtype} <= set(STORED)


def as_array(tensor: Tensor) -> Array:
    """Returns the tensor's own memory, flat; what is written to it is written to the tensor."""
    flat = tensor.detach().view(-1)
    if tensor.dtype == torch.bfloat16:
        flat = flat.view(torch.uint16)
    found: Array = flat.numpy()
    return found
