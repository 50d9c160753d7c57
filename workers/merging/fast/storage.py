"""Numbers as they lie in memory, and as the loops compute with them.

numpy knows no bfloat16: such a number is the upper half of a float32, and travels as uint16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]
"""One-dimensional and contiguous: uint16 for bfloat16, or float32."""

STORED = (torch.bfloat16, torch.float32)
"""What the loops read and write; other formats go the reference kernels' way."""

_HALF_OF_ONE = 0x7FFF  # with the lowest bit that stays: rounds to nearest, ties to even


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


def _widen(_context: Any, value: Any) -> Any:  # noqa: ANN401 - numba's types
    """Compiles `widen(x)`: a stored number as float32."""
    signature = types.float32(value)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        (number,) = arguments
        if value == types.float32:
            return number
        word = builder.zext(number, ir.IntType(32))
        return builder.bitcast(builder.shl(word, ir.Constant(ir.IntType(32), 16)), ir.FloatType())

    return signature, generate


def _narrow(_context: Any, value: Any, like: Any) -> Any:  # noqa: ANN401
    """Compiles `narrow(x, like)`: a float32 as it is stored beside `like`, rounded to nearest even."""
    signature = like(value, like)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        number = arguments[0]
        if like == types.float32:
            return number
        word_type = ir.IntType(32)
        word = builder.bitcast(number, word_type)
        upper = builder.lshr(word, ir.Constant(word_type, 16))
        odd = builder.and_(upper, ir.Constant(word_type, 1))
        rounded = builder.add(word, builder.add(odd, ir.Constant(word_type, _HALF_OF_ONE)))
        stored = builder.lshr(rounded, ir.Constant(word_type, 16))
        # A NaN whose lower half is full would round to zero: it keeps its upper half, made a quiet NaN.
        quiet = builder.or_(upper, ir.Constant(word_type, 0x40))
        is_nan = builder.fcmp_unordered("uno", number, number)
        return builder.trunc(builder.select(is_nan, quiet, stored), ir.IntType(16))

    return signature, generate


def _bits(_context: Any, value: Any) -> Any:  # noqa: ANN401
    """Compiles `bits(x)`: the 32 bits of a float32; of magnitudes they rank as the numbers do."""
    signature = types.uint32(value)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return builder.bitcast(arguments[0], ir.IntType(32))

    return signature, generate


widen: Any = intrinsic(_widen)
narrow: Any = intrinsic(_narrow)
bits: Any = intrinsic(_bits)
