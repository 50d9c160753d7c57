"""The compiled pass: every number of a merged tensor is made while its inputs travel once.

The pass is compiled for the form of the sum (`sum_forms.py`), for how numbers are stored, and for how many
inputs there are.  Two bfloat16 that lie in one word are made together wherever all arrays allow it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workers.merging.fast.backends.sum_forms import DifferenceSum, Form, WeightedSum, made
from workers.merging.fast.compiled.compiling import compiled
from workers.merging.fast.compiled.entries import TOP
from workers.merging.fast.compiled.intrinsics import brokenness, narrow, narrow_pair
from workers.merging.fast.storage import Array

Pass = Callable[[int, int], bool]
"""(first entry, past the last) -> whether what was written there holds NaN or infinity."""

_TWO = np.uint64(2)
_ONE = np.uint64(1)
_ONE_PIECE = np.array([np.iinfo(np.int64).max], np.int64)


def weighted_sum(
    out: Array, inputs: tuple[Array, ...], weights: Array, base: Array, of_base: np.float32
) -> Pass:
    """Returns the pass that writes what `numpy_kernels.weighted_sum` writes; all arrays in pairs, or none."""
    if len(base):
        return pass_over(out, DifferenceSum(base, of_base, inputs, weights))
    return pass_over(out, WeightedSum(inputs, weights))


def in_pairs(arrays: Sequence[Array]) -> list[Array]:
    """Returns the arrays [entries] as pairs of bfloat16 in uint32 [entries / 2], or as they are.

    An empty one stays empty.
    """
    if any(array.dtype != np.uint16 or len(array) % 2 for array in arrays):
        return list(arrays)
    pairs = [array.view(np.uint32) for array in arrays]
    return pairs if all(array.flags.aligned for array in pairs) else list(arrays)


def pass_over(out: Array, form: Form, ends: Array = _ONE_PIECE) -> Pass:
    """Returns the pass over a whole tensor.

    Args:
        out: Flat, alone or in pairs, as all arrays of the form.
        form: What is written.
        ends: Where the pieces of the form's rule end, int64; the last is the number of entries.
    """
    run = run_pairs if out.dtype == np.uint32 else _run
    return lambda start, stop: bool(run(out, form, ends, start, stop))


@compiled
def _run(out: Array, form: Form, ends: Array, start: int, stop: int) -> np.uint32:
    """Writes the entries [start, stop), each stored alone; returns 0, or more where they are not finite."""
    broken = np.uint32(0)
    for piece in range(ends.shape[0]):
        begin = np.uint64(max(start, ends[piece - 1] if piece else 0))
        for j in range(begin, np.uint64(max(min(stop, ends[piece]), 0))):
            value = made(form, piece, j, 0, np.uint32(j))
            out[j] = narrow(value, out[j])
            broken |= brokenness(value, out[j])
    return np.uint32(broken & TOP)


@compiled
def run_pairs(out: Array, form: Form, ends: Array, start: int, stop: int) -> np.uint32:
    """As `_run`, of entries that are stored in pairs."""
    broken = np.uint32(0)
    for piece in range(ends.shape[0]):
        begin = np.uint64(max(start, ends[piece - 1] if piece else 0))
        end = np.uint64(max(min(stop, ends[piece]), 0))
        if begin >= end:
            continue
        for j in range((begin + _ONE) // _TWO, end // _TWO):
            index = np.uint32(_TWO * j)
            first = made(form, piece, j, 0, index)
            second = made(form, piece, j, 1, np.uint32(index + np.uint32(1)))
            out[j] = narrow_pair(first, second)
            broken |= brokenness(first, out[j]) | brokenness(second, out[j])
        for edge in range(2):  # a pair that a border parts belongs to two pieces
            place = begin if edge == 0 else end - _ONE
            if place % _TWO == _ONE - np.uint64(edge):
                broken |= _write_half(out, form, piece, place)
    return np.uint32(broken & TOP)


@compiled
def _write_half(out: Array, form: Form, piece: int, place: np.uint64) -> np.uint32:
    """Writes one entry of a pair and leaves the other."""
    j, half = place // _TWO, np.int64(place % _TWO)
    value = made(form, piece, j, half, np.uint32(place))  # type: ignore[arg-type]
    both = narrow_pair(value, value)
    lower = np.uint32(0xFFFF)
    mask = ~lower if half else lower
    out[j] = (out[j] & ~mask) | (both & mask)
    return np.uint32(brokenness(value, out[j]))
