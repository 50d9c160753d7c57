"""What is done to one entry: small functions that the compiler puts into the passes' loops.

They have no branches, only choices between two numbers, because loops with branches do not become
vector instructions.  What is dropped is multiplied by zero, so that NaN and infinity stay in the
result, where they are found.
"""

from __future__ import annotations

import numpy as np

from workers.merging.fast.compiling import compiled
from workers.merging.fast.intrinsics import bits, widen
from workers.merging.thinning.counter_random import LAST_SHIFT, ROUNDS, STEP

ZERO, ONE = np.float32(0.0), np.float32(1.0)
MAGNITUDE = np.uint32(0x7FFFFFFF)
TOP = np.uint32(0x80000000)
_TO_THE_TOP = np.uint32(0x80000000 - 0x7F800000)
_STEP = np.uint32(STEP)
_SHIFT_1, _FACTOR_1 = np.uint32(ROUNDS[0][0]), np.uint32(ROUNDS[0][1])
_SHIFT_2, _FACTOR_2 = np.uint32(ROUNDS[1][0]), np.uint32(ROUNDS[1][1])
_SHIFT_3 = np.uint32(LAST_SHIFT)


@compiled
def between(delta: np.float32, least: np.uint32, most: np.uint32) -> np.float32:
    """Returns delta where its magnitude is least ... most, given as bits."""
    size = bits(delta) & MAGNITUDE
    return delta * (ONE if (size >= least) & (size <= most) else ZERO)


@compiled
def at_random(
    delta: np.float32, index: np.uint32, start: np.uint32, extra: np.uint32, last: np.int32
) -> np.float32:
    """Returns delta where the random word of its index, of the seed (start, extra), is at most `last`."""
    return delta * (ONE if random_word(index, start, extra) <= last else ZERO)


@compiled
def by_key(delta: np.float32, key: np.uint16, bound: np.uint32) -> np.float32:
    """Returns delta where its key is below the bound."""
    return delta * (ONE if np.uint32(key) < bound else ZERO)


@compiled
def random_word(index: np.uint32, start: np.uint32, extra: np.uint32) -> np.int32:
    """Returns the word of `counter_random.random_words` at an index."""
    word = np.uint32(index * _STEP + start)
    word = np.uint32((word ^ (word >> _SHIFT_1)) * _FACTOR_1)
    word = np.uint32((word ^ (word >> _SHIFT_2) ^ extra) * _FACTOR_2)
    return np.int32(word ^ (word >> _SHIFT_3))


@compiled
def sign_of(total: np.float32, at_zero: np.float32) -> np.float32:
    """Returns 1 or -1, and `at_zero` where the total is zero or no number."""
    positive = ONE if total > ZERO else at_zero
    return -ONE if total < ZERO else positive


@compiled
def not_against(value: np.float32) -> np.float32:
    """Returns what is not below zero, and zero for what is; NaN stays."""
    return ZERO if value < ZERO else value


@compiled
def counts(value: np.float32) -> np.float32:
    """Returns 1 for what is above zero."""
    return ONE if value > ZERO else ZERO


@compiled
def divided(merged: np.float32, share: np.float32, smallest: np.float32) -> np.float32:
    """Returns merged / share, or merged itself where the share is no more than `smallest`."""
    return np.float32(merged / (ONE if abs(share) <= smallest else share))


@compiled
def brokenness(stored: np.uint16 | np.float32) -> np.uint32:
    """Returns a number whose topmost bit is set where a stored one is NaN or infinite."""
    # Magnitudes of the greatest exponent carry into that bit, no others.
    return np.uint32((bits(widen(stored)) & MAGNITUDE) + _TO_THE_TOP)
