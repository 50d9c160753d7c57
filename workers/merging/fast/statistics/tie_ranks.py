"""Where, among entries of one magnitude, a rank falls: equals rank as they lie in memory."""

from __future__ import annotations

import numpy as np

from workers.merging.fast.compiled.compiling import compiled
from workers.merging.fast.compiled.entries import MAGNITUDE
from workers.merging.fast.compiled.intrinsics import bits, widen
from workers.merging.fast.statistics.block_counts import BLOCK, BlockCounts, find_block
from workers.merging.fast.statistics.lengths import count_magnitude
from workers.merging.fast.statistics.magnitudes import MagnitudeTable
from workers.merging.fast.storage import LANES, Array
from workers.merging.fast.threads import STRETCH, Map, stretches

_AT_ONCE = 4
"""Stretches that are counted before it is seen whether the place lies in them."""


def tie_position(parent: Array, base: Array, level: int, count: int, equal: int, work: Map) -> int:
    """Returns a place before which lie, in memory's order, `count` of the `equal` entries of this magnitude.

    Whichever end is nearer is where the search begins.

    Args:
        parent: Flat.
        base: As long.
        level: The magnitude, as bits.
        count: From 1 to `equal` - 1.
        equal: How many there are.
        work: How to count in several stretches.
    """
    from_start, wanted = count <= equal // 2, np.uint32(level)
    left, find = (count, _place_after) if from_start else (equal - count, _place_before)
    starts = list(stretches(len(parent)))
    if len(starts) <= _AT_ONCE:
        return int(find(parent, base, wanted, left))

    def count_at(start: int) -> int:
        return count_magnitude(parent[start : start + STRETCH], base[start : start + STRETCH], wanted)

    if not from_start:
        starts.reverse()
    for first in range(0, len(starts), _AT_ONCE):
        several = starts[first : first + _AT_ONCE]
        for start, here in zip(several, work(count_at, several), strict=True):
            if here >= left:
                inside = slice(start, start + STRETCH)
                return start + int(find(parent[inside], base[inside], wanted, left))
            left -= here
    return len(parent) if from_start else 0


def tie_position_by_blocks(parent: Array, base: Array, blocks: BlockCounts, level: int, count: int) -> int:
    """Returns what `tie_position` returns, looking at one block alone.

    Args:
        parent: Flat [entries].
        base: As long.
        blocks: The task vector's counts.
        level: The magnitude, as bits.
        count: From 1 on; less than there are.
    """
    return int(_place_by_blocks(parent, base, blocks.packed, blocks.offsets, np.uint32(level), count))


def limit_by_blocks(
    parent: Array, base: Array, table: MagnitudeTable, blocks: BlockCounts, rank: int
) -> tuple[int, int]:
    """Returns the magnitude of a rank, as bits, and the place that parts its entry from the next equal.

    Where all equals rank no later, the place is behind the tensor.

    Args:
        parent: Flat [entries].
        base: As long.
        table: Of the task vector's magnitudes.
        blocks: The counts that the table follows from.
        rank: 0 is the largest.
    """
    level, place = _limit(parent, base, table.bits, table.until, blocks.packed, blocks.offsets, rank)
    return int(level), int(place)


@compiled
def _limit(
    parent: Array, base: Array, sizes: Array, until: Array, packed: Array, offsets: Array, rank: int
) -> tuple[np.uint32, int]:
    """Carries out `limit_by_blocks`."""
    place = np.searchsorted(until, rank, side="right")
    above = until[place - 1] if place > 0 else 0
    among = rank - above + 1
    if among == until[place] - above:
        return sizes[place], parent.shape[0]
    return sizes[place], _place_by_blocks(parent, base, packed, offsets, sizes[place], among)


@compiled
def _place_by_blocks(
    parent: Array, base: Array, packed: Array, offsets: Array, level: np.uint32, count: int
) -> int:
    """Carries out `tie_position_by_blocks`."""
    block, left, here = find_block(packed, offsets, np.uint64(level), count)
    start = block * BLOCK
    own, origin = parent[start : start + BLOCK], base[start : start + BLOCK]
    if left == here:
        return int(min(start + BLOCK, parent.shape[0]))
    if left <= here // 2:
        return int(start + _place_after(own, origin, level, left))
    return int(start + _place_before(own, origin, level, here - left))


@compiled
def _place_after(parent: Array, base: Array, level: np.uint32, count: int) -> int:
    """Returns the place behind the `count`-th entry of exactly this magnitude."""
    for start in range(0, parent.shape[0], LANES):
        stop = min(start + LANES, parent.shape[0])
        here = count_magnitude(parent[start:stop], base[start:stop], level)
        if here < count:
            count -= here
            continue
        for j in range(start, stop):
            if bits(widen(parent[j]) - widen(base[j])) & MAGNITUDE == level:
                count -= 1
                if count <= 0:
                    return int(j + 1)
    return int(parent.shape[0])


@compiled
def _place_before(parent: Array, base: Array, level: np.uint32, count: int) -> int:
    """Returns the place of the `count`-th entry of exactly this magnitude, counted from the end."""
    for stop in range(parent.shape[0], 0, -LANES):
        start = max(stop - LANES, 0)
        here = count_magnitude(parent[start:stop], base[start:stop], level)
        if here < count:
            count -= here
            continue
        for j in range(stop - 1, start - 1, -1):
            if bits(widen(parent[j]) - widen(base[j])) & MAGNITUDE == level:
                count -= 1
                if count <= 0:
                    return int(j)
    return 0
