"""What is done to one entry: small functions that the compiler puts into the passes' loops.

They have no branches, only choices between two numbers, because loops with branches do not become
vector instructions.  All numbers are float32.
"""

from __future__ import annotations

import numpy as np

from workers.merging.fast.compiled.compiling import inlined
from workers.merging.fast.compiled.intrinsics import bits
from workers.merging.thinning.counter_random import LAST_SHIFT, ROUNDS, STEP

ZERO, ONE = np.float32(0.0), np.float32(1.0)
MAGNITUDE = np.uint32(0x7FFFFFFF)
TOP = np.uint32(0x80000000)
_STEP = np.uint32(STEP)
_SHIFT_1, _FACTOR_1 = np.uint32(ROUNDS[0][0]), np.uint32(ROUNDS[0][1])
_SHIFT_2, _FACTOR_2 = np.uint32(ROUNDS[1][0]), np.uint32(ROUNDS[1][1])
_SHIFT_3 = np.uint32(LAST_SHIFT)


@inlined
def size_of(delta: np.float32) -> np.int32:
    """Returns the magnitude, as bits, which are less than 2^31."""
    return np.int32(bits(delta) & MAGNITUDE)


@inlined
def random_word(index: np.uint32, start: np.uint32, extra: np.uint32) -> np.int32:
    """Returns the word of `counter_random.random_words` at an index, of the seed (start, extra)."""
    word = np.uint32(index * _STEP + start)
    word = np.uint32((word ^ (word >> _SHIFT_1)) * _FACTOR_1)
    word = np.uint32((word ^ (word >> _SHIFT_2) ^ extra) * _FACTOR_2)
    return np.int32(word ^ (word >> _SHIFT_3))


@inlined
def sign_of(total: np.float32, at_zero: np.float32) -> np.float32:
    """Returns 1 or -1, and `at_zero` where the total is zero or no number."""
    positive = ONE if total > ZERO else at_zero
    return -ONE if total < ZERO else positive


@inlined
def not_against(value: np.float32) -> np.float32:
    """Returns what is not below zero, and zero for what is; NaN stays."""
    return ZERO if value < ZERO else value  # noqa: FURB136 - max() may lose NaN


@inlined
def where_positive(value: np.float32, weight: np.float32) -> np.float32:
    """Returns the weight where the value is above zero, and zero elsewhere."""
    return weight if value > ZERO else ZERO


@inlined
def divided(merged: np.float32, share: np.float32, smallest: np.float32) -> np.float32:
    """Returns merged / share, or merged itself where the share is no more than `smallest`."""
    return np.float32(merged / (ONE if abs(share) <= smallest else share))
