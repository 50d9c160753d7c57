"""Block counts: how often each magnitude occurs in each block of a task vector.

Differences of bfloat16 numbers have few distinct magnitudes, some thousands in a block.  The counts tell
both the whole vector's table of magnitudes and, for equal ones, in which block a rank falls.  Differences
of float32 numbers have as many as entries; they are given up at the first block.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from workers.merging.fast.compiled.compiling import compiled
from workers.merging.fast.statistics.magnitude_counts import (
    CELLS,
    EMPTY,
    MOST_DISTINCT,
    SLOTS,
    add_up_cells,
    count_cells,
    count_odd,
    list_downwards,
    list_upwards,
    sorted_by_cell,
)
from workers.merging.fast.storage import Array
from workers.merging.fast.threads import Map

BLOCK = 1 << 18
"""Entries that are counted together."""

_HALF = np.uint64(32)
_LOWER = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class BlockCounts:
    """The counts of all blocks.

    Attributes:
        packed: Magnitude (bits) << 32 | count, uint64, each block's upwards, one block after the other.
        offsets: Where each block's begin, and the end, int64 [blocks + 1].
    """

    packed: Array
    offsets: Array

    @property
    def nbytes(self) -> int:
        """The memory it takes."""
        return self.packed.nbytes + self.offsets.nbytes

    def distinct(self) -> tuple[Array, Array]:
        """Returns all magnitudes, the largest first, uint32, and how many are as large or larger, int64."""
        odd = np.empty(len(self.packed) + 1, np.uint64)
        length, first, last = add_up_cells(self.packed, _ROOM.sums, odd)
        odd = sorted_by_cell(odd[:length])
        most = min(length + last - first + 1, len(self.packed))
        magnitudes, until = np.empty(most, np.uint32), np.empty(most, np.int64)
        length = list_downwards(_ROOM.sums, odd, first, last, magnitudes, until)
        return magnitudes[:length].copy(), until[:length].copy()


def count_blocks(parent: Array, base: Array, work: Map) -> BlockCounts | None:
    """Returns the counts of a task vector, or None where magnitudes are too many.

    Args:
        parent: Flat [entries], as `base`.
        base: As above.
        work: How to go through the blocks.
    """

    def part(start: int) -> Array | None:
        inside = slice(start, start + BLOCK)
        return _count(parent[inside], base[inside])

    starts = range(0, len(parent), BLOCK)
    first = part(0)
    if first is None:
        return None
    several = [first, *work(part, starts[1:])]
    found = [one for one in several if one is not None]
    if len(found) < len(several):
        return None
    return BlockCounts(np.concatenate(found), np.cumsum([0, *map(len, found)]))


def _count(parent: Array, base: Array) -> Array | None:
    """Returns the packed counts of a block, upwards, or None where they are too many."""
    room = _ROOM
    length, first, last = count_cells(parent, base, room.cells, room.odd)
    distinct = count_odd(room.odd[:length], room.table, room.found)
    odd = sorted_by_cell(room.found[: max(distinct, 0)])
    listed = list_upwards(room.cells, odd, first, last, room.listed)
    return None if distinct < 0 or listed > MOST_DISTINCT else room.listed[:listed].copy()


class _Room(threading.local):
    """Each thread's own memory: fresh memory would cost more than its use.

    Attributes:
        cells: uint32 [2, cells], all zero.
        odd: uint32 [entries of a block + 1].
        table: (magnitude, count), uint32 [slots, 2], all empty.
        found: uint64 [most distinct].
        listed: uint64 [cells + most distinct].
        sums: int64 [cells], all zero.
    """

    def __init__(self) -> None:
        self.cells = np.zeros((2, CELLS), np.uint32)
        self.odd = np.empty(BLOCK + 1, np.uint32)
        self.table = np.empty((SLOTS, 2), np.uint32)
        self.table[:, 0] = EMPTY
        self.found = np.empty(MOST_DISTINCT, np.uint64)
        self.listed = np.empty(CELLS + MOST_DISTINCT, np.uint64)
        self.sums = np.zeros(CELLS, np.int64)


_ROOM = _Room()


@compiled
def find_block(packed: Array, offsets: Array, level: np.uint64, count: int) -> tuple[int, int, int]:
    """Returns the block in which the `count`-th entry of a magnitude lies.

    Args:
        packed: Of the counts.
        offsets: As well.
        level: The magnitude, as bits.
        count: From 1 on; no more than there are.

    Returns:
        The block's number, which of its own equals the entry is, and how many equals it holds.
    """
    last = (offsets.shape[0] - 2, count, count)
    for block in range(offsets.shape[0] - 1):
        low, high = offsets[block], offsets[block + 1]
        while low < high:
            middle = (low + high) // 2
            if packed[middle] >> _HALF < level:
                low = middle + 1
            else:
                high = middle
        if low == offsets[block + 1] or packed[low] >> _HALF != level:
            continue
        here = np.int64(packed[low] & _LOWER)
        if here >= count:
            return block, count, here  # type: ignore[return-value]
        count -= here  # type: ignore[assignment]
    return last
