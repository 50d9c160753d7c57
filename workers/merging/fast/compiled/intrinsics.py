"""How a loop reads and writes a stored number: what the compiler is told, instruction by instruction.

A stored number is a float32, a bfloat16 as a uint16, or one of the two bfloat16 that a uint32 holds: then
`half` says which, 0 the first in memory.  Pairs need neither widening nor packing of vectors, which on
processors with vectors of 256 bits is a third of a weighted sum's instructions.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from workers.merging.fast.storage import HALF_OF_ONE

_WORD = ir.IntType(32)
_UPPER = 0xFFFF0000
_MAGNITUDE = 0x7FFFFFFF
_TOP = 0x80000000
_INFINITY = 0x7F800000
_ROUNDS_TO_INFINITY = 0x7F7F8000
"""The least magnitude, as bits, that is infinite once rounded to bfloat16."""


def _word(number: int) -> Any:  # noqa: ANN401 - llvmlite's
    return ir.Constant(_WORD, number)


def _read(_context: Any, stored: Any, half: Any) -> Any:  # noqa: ANN401 - numba's types
    """Compiles `read(stored, half)`: a stored number as float32."""
    signature = types.float32(stored, half)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        number, which = arguments
        if stored == types.float32:
            return number
        if stored == types.uint16:
            bits = builder.shl(builder.zext(number, _WORD), _word(16))
        else:
            first = builder.icmp_unsigned("==", which, ir.Constant(which.type, 0))
            bits = builder.select(first, builder.shl(number, _word(16)), builder.and_(number, _word(_UPPER)))
        return builder.bitcast(bits, ir.FloatType())

    return signature, generate


def _read_key(_context: Any, stored: Any, half: Any) -> Any:  # noqa: ANN401
    """Compiles `read_key(stored, half)`: a key of 16 bits, or one of the two in a uint32, as uint32."""
    signature = types.uint32(stored, half)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        number, which = arguments
        if stored == types.uint16:
            return builder.zext(number, _WORD)
        first = builder.icmp_unsigned("==", which, ir.Constant(which.type, 0))
        return builder.select(first, builder.and_(number, _word(0xFFFF)), builder.lshr(number, _word(16)))

    return signature, generate


def _rounded(builder: Any, number: Any) -> Any:  # noqa: ANN401
    """Returns a word whose upper half is a finite float32 rounded to bfloat16, ties to even."""
    word = builder.bitcast(number, _WORD)
    odd = builder.and_(builder.lshr(word, _word(16)), _word(1))
    return builder.add(word, builder.add(odd, _word(HALF_OF_ONE)))


def _narrow(_context: Any, value: Any, like: Any) -> Any:  # noqa: ANN401
    """Compiles `narrow(x, like)`: a finite float32 as it is stored beside `like`."""
    signature = like(value, like)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        number = arguments[0]
        if like == types.float32:
            return number
        return builder.trunc(builder.lshr(_rounded(builder, number), _word(16)), ir.IntType(16))

    return signature, generate


def _narrow_pair(_context: Any, first: Any, second: Any) -> Any:  # noqa: ANN401
    """Compiles `narrow_pair(x, y)`: two finite float32 as bfloat16 in one uint32."""
    signature = types.uint32(first, second)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        lower, upper = (_rounded(builder, number) for number in arguments)
        return builder.or_(builder.lshr(lower, _word(16)), builder.and_(upper, _word(_UPPER)))

    return signature, generate


def _brokenness(_context: Any, value: Any, like: Any) -> Any:  # noqa: ANN401
    """Compiles `brokenness(x, like)`: its topmost bit is set where x, stored beside `like`, is not finite."""
    signature = types.uint32(value, like)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        magnitude = builder.and_(builder.bitcast(arguments[0], _WORD), _word(_MAGNITUDE))
        # Magnitudes from the least that is broken carry into the topmost bit, no others.
        least = _INFINITY if like == types.float32 else _ROUNDS_TO_INFINITY
        return builder.add(magnitude, _word(_TOP - least))

    return signature, generate


def _bits(_context: Any, value: Any) -> Any:  # noqa: ANN401
    """Compiles `bits(x)`: the 32 bits of a float32; of magnitudes they rank as the numbers do."""
    signature = types.uint32(value)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return builder.bitcast(arguments[0], _WORD)

    return signature, generate


def _widen(_context: Any, stored: Any) -> Any:  # noqa: ANN401
    """Compiles `widen(x)`: a number that is stored alone as float32."""
    signature = types.float32(stored)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        (number,) = arguments
        if stored == types.float32:
            return number
        return builder.bitcast(builder.shl(builder.zext(number, _WORD), _word(16)), ir.FloatType())

    return signature, generate


def _words_at(_context: Any, address: Any, place: Any) -> Any:  # noqa: ANN401, ARG001
    """Compiles `words_at(address, place)`: where the uint32 of this number lies, counted from an address."""
    signature = types.CPointer(types.uint32)(types.int64, types.int64)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        pointer = builder.inttoptr(arguments[0], _WORD.as_pointer())
        return builder.gep(pointer, [arguments[1]])

    return signature, generate


read: Any = intrinsic(_read)
read_key: Any = intrinsic(_read_key)
narrow: Any = intrinsic(_narrow)
narrow_pair: Any = intrinsic(_narrow_pair)
brokenness: Any = intrinsic(_brokenness)
bits: Any = intrinsic(_bits)
widen: Any = intrinsic(_widen)
words_at: Any = intrinsic(_words_at)
