"""How a loop reads and writes a stored number: what the compiler is told, instruction by instruction."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from workers.merging.fast.storage import HALF_OF_ONE, QUIET


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
        rounded = builder.add(word, builder.add(odd, ir.Constant(word_type, HALF_OF_ONE)))
        stored = builder.lshr(rounded, ir.Constant(word_type, 16))
        # A NaN whose lower half is full would round to zero: it keeps its upper half, made a quiet NaN.
        quiet = builder.or_(upper, ir.Constant(word_type, QUIET))
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
