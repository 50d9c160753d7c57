"""Block counts: how often each magnitude occurs in each block of a task vector.

Differences of bfloat16 numbers have few distinct magnitudes, some thousands in a block: a small hash table
counts them in one pass, and the counts tell both the whole vector's table of magnitudes and, for equal
ones, in which block a rank falls.  Differences of float32 numbers have as many as entries; they are
given up at the first block.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from workers.merging.fast.compiled.compiling import compiled
from workers.merging.fast.compiled.entries import MAGNITUDE
from workers.merging.fast.compiled.intrinsics import bits, widen
from workers.merging.fast.storage import LANES, Array
from workers.merging.fast.threads import Map

BLOCK = 1 << 18
"""Entries that are counted together."""

_SLOTS = 1 << 15
_MOST_DISTINCT = _SLOTS // 2
_EMPTY = np.uint32(0xFFFFFFFF)  # no magnitude has these bits
_SCATTER, _TO_SLOT = np.uint32(2654435769), np.uint32(17)
_LAST_SLOT = np.uint32(_SLOTS - 1)
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
        ordered = np.sort(self.packed)[::-1]
        magnitudes = (ordered >> _HALF).astype(np.uint32)
        first = np.flatnonzero(np.concatenate(([True], magnitudes[1:] != magnitudes[:-1])))
        counts = np.add.reduceat((ordered & _LOWER).astype(np.int64), first)
        return magnitudes[first], np.cumsum(counts)


def count_blocks(parent: Array, base: Array, work: Map) -> BlockCounts | None:
    """Returns the counts of a task vector, or None where magnitudes are too many.

    Args:
        parent: Flat [entries], as `base`.
        base: As above.
        work: How to go through the blocks.
    """

    def part(start: int) -> Array | None:
        inside = slice(start, start + BLOCK)
        length = _count(parent[inside], base[inside], _ROOM.table, _ROOM.found)
        return None if length < 0 else np.sort(_ROOM.found[:length])

    starts = range(0, len(parent), BLOCK)
    first = part(0)
    if first is None:
        return None
    several = [first, *work(part, starts[1:])]
    found = [one for one in several if one is not None]
    if len(found) < len(several):
        return None
    return BlockCounts(np.concatenate(found), np.cumsum([0, *map(len, found)]))


class _Room(threading.local):
    """Each thread's own memory: fresh memory would cost more than its use.

    Attributes:
        table: (magnitude, count), uint32 [slots, 2], all empty.
        found: uint64 [most distinct].
    """

    def __init__(self) -> None:
        self.table = np.empty((_SLOTS, 2), np.uint32)
        self.table[:, 0] = _EMPTY
        self.found = np.empty(_MOST_DISTINCT + 1, np.uint64)


_ROOM = _Room()


@compiled
def _count(parent: Array, base: Array, table: Array, found: Array) -> int:
    """Writes the packed counts of a block, in no order; returns how many, or -1 where they are too many.

    Args:
        parent: Flat, at most `BLOCK` entries, as `base`.
        base: As above.
        table: (magnitude, count), uint32 [slots, 2], all empty; so it is left.
        found: The packed counts, uint64.
    """
    sizes = np.empty(LANES, np.uint32)
    used = np.empty(_MOST_DISTINCT + 1, np.uint32)
    length = 0
    for start in range(0, parent.shape[0], LANES):
        own, origin = parent[start : start + LANES], base[start : start + LANES]
        for j in range(own.shape[0]):
            sizes[j] = bits(widen(own[j]) - widen(origin[j])) & MAGNITUDE
        for j in range(own.shape[0]):
            slot = np.uint32(sizes[j] * _SCATTER) >> _TO_SLOT
            while table[slot, 0] != sizes[j] and table[slot, 0] != _EMPTY:
                slot = np.uint32((slot + np.uint32(1)) & _LAST_SLOT)
            if table[slot, 0] == _EMPTY:
                if length == _MOST_DISTINCT:
                    table[:, 0] = _EMPTY
                    return -1
                table[slot, 0] = sizes[j]
                table[slot, 1] = np.uint32(0)
                used[length] = slot
                length += 1
            table[slot, 1] += np.uint32(1)
    for k in range(length):
        slot = used[k]
        found[k] = (np.uint64(table[slot, 0]) << _HALF) | np.uint64(table[slot, 1])
        table[slot, 0] = _EMPTY
    return length


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
