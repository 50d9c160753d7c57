"""What random masks keep: keys of entries, and lengths of what is kept by key.

Whether an entry survives depends on one of 2^16 numbers, its key: it is kept where the key is below
the code of the density (`sparsify.random_code`).  Of DARE the key is the upper half of the entry's
random word; of MagPrune (DELLA) that, less what the entry's rank in its row is worth.  So the L1 norm
of what any density keeps is a lookup in a table of 2^16 sums.
"""

from __future__ import annotations

import numpy as np

from workers.merging.fast.compiled.compiling import compiled
from workers.merging.fast.compiled.entries import MAGNITUDE, random_word
from workers.merging.fast.compiled.intrinsics import bits, widen
from workers.merging.fast.statistics.lengths import in_units
from workers.merging.fast.storage import Array

CODES = 1 << 16
_DIGIT = 256
_OFFSET = 1 << 15  # words are signed, keys are not


@compiled
def lengths_by_word(parent: Array, base: Array, units: float, start: np.uint32, extra: np.uint32) -> Array:
    """Returns sum |parent - base|, in units, of the entries whose key is below c, int64 [2^16 + 1].

    The key is the upper half of the random word.
    """
    sums = np.zeros(CODES + 1, np.int64)
    for j in range(parent.shape[0]):
        word = random_word(np.uint32(j), start, extra)
        code = (np.int64(word) >> 16) + _OFFSET
        sums[code + 1] += in_units(widen(parent[j]) - widen(base[j]), units)
    return np.cumsum(sums)


@compiled
def lengths_by_key(parent: Array, base: Array, units: float, keys: Array) -> Array:
    """Returns sum |parent - base|, in units, of the entries whose key is below c, int64 [2^16 + 1]."""
    sums = np.zeros(CODES + 1, np.int64)
    for j in range(parent.shape[0]):
        sums[np.int64(keys[j]) + 1] += in_units(widen(parent[j]) - widen(base[j]), units)
    return np.cumsum(sums)


@compiled
def rank_keys(
    parent: Array, base: Array, width: int, first: int, shifts: Array, start: np.uint32, extra: np.uint32
) -> Array:
    """Returns the keys of MagPrune, uint16.

    Args:
        parent: Whole rows.
        base: As long.
        width: Entries in a row.
        first: Index of the first entry in the whole tensor.
        shifts: What each rank is worth (`sparsify.rank_shifts`), int64 [width].
        start: The seed's word s.
        extra: The seed's word z.
    """
    keys = np.empty(parent.shape[0], np.uint16)
    sizes = np.empty((2, width), np.uint32)
    places = np.empty((2, width), np.uint32)
    for row in range(0, parent.shape[0], width):
        for j in range(width):
            # Largest first: what is sorted upwards is what lacks to the greatest.
            size = bits(widen(parent[row + j]) - widen(base[row + j])) & MAGNITUDE
            sizes[0, j] = MAGNITUDE - size
            places[0, j] = j
        _sort(sizes, places)
        for rank in range(width):
            place = row + places[0, rank]
            word = random_word(np.uint32(first + place), start, extra)
            key = (np.int64(word) >> 16) + _OFFSET - shifts[rank]
            keys[place] = np.uint16(min(max(key, 0), CODES - 1))
    return keys


@compiled
def _sort(numbers: Array, places: Array) -> None:
    """Sorts the first row of numbers upwards and the places with them; equals keep their order."""
    width = numbers.shape[1]
    counts = np.empty(_DIGIT + 1, np.int64)
    for digit in range(4):
        shift = np.uint32(8 * digit)
        source, target = digit % 2, 1 - digit % 2
        counts[:] = 0
        for j in range(width):
            counts[((numbers[source, j] >> shift) & np.uint32(255)) + 1] += 1
        for value in range(_DIGIT):
            counts[value + 1] += counts[value]
        for j in range(width):
            value = (numbers[source, j] >> shift) & np.uint32(255)
            numbers[target, counts[value]] = numbers[source, j]
            places[target, counts[value]] = places[source, j]
            counts[value] += 1
