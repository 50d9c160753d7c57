"""Loops that count magnitudes: by their upper bits where these say all, by a small hash table elsewhere.

Magnitudes are bits, uint32 below 2^31.  A *round* one has no bits below `CUT`: so do nearly all differences
of bfloat16 numbers of like size, and each has a cell of its own.  Those of a cell that are not round are
*odd*; they are few, but of float32 numbers nearly all.  Counts are packed: magnitude << 32 | count, uint64.
"""

from __future__ import annotations

import numpy as np

from workers.merging.fast.compiled.compiling import compiled, inlined
from workers.merging.fast.compiled.entries import MAGNITUDE
from workers.merging.fast.compiled.intrinsics import bits, widen
from workers.merging.fast.storage import LANES, Array

CUT = 14
CELLS = 1 << (31 - CUT)
SLOTS = 1 << 15
MOST_DISTINCT = SLOTS // 2
EMPTY = np.uint32(0xFFFFFFFF)
"""Marks a free slot of a hash table: no magnitude has these bits."""

_CUT = np.uint32(CUT)
_BELOW_CUT = np.uint32((1 << CUT) - 1)
_CELL = np.uint64(32 + CUT)
_SCATTER, _TO_SLOT = np.uint32(2654435769), np.uint32(17)
_LAST_SLOT = np.uint32(SLOTS - 1)
_HALF = np.uint64(32)
_LOWER = np.uint64(0xFFFFFFFF)
_ONE, _NONE = np.uint32(1), np.uint32(0)
_STEP, _STAY = np.uint64(1), np.uint64(0)
_IN_GROUP = 8
_GROUPS = LANES // _IN_GROUP
_FEW = 24  # numbers that are sorted one by one


@compiled
def count_cells(parent: Array, base: Array, cells: Array, odd: Array) -> tuple[int, int, int]:
    """Counts a block's magnitudes by cell; returns how many are odd, and the first and last cell but 0.

    Args:
        parent: Flat, as `base`.
        base: As above.
        cells: Counts, uint32 [2, CELLS], to which those of the block are added: neighbours to different
            rows, because equal ones would wait for each other.
        odd: Where the odd magnitudes are written, in no order, uint32 [entries + 1].
    """
    sizes, groups = np.zeros(LANES, np.uint32), np.empty(_GROUPS, np.uint32)
    length, least, greatest = np.uint64(0), EMPTY, _NONE
    for start in range(0, parent.shape[0], LANES):
        own, origin = parent[start : start + LANES], base[start : start + LANES]
        for j in range(own.shape[0]):
            size = bits(widen(own[j]) - widen(origin[j])) & MAGNITUDE
            sizes[j] = size
            least = min(least, np.uint32(size - _ONE))  # zeros come out as the greatest of all
            greatest = max(greatest, size)
        for j in range(0, own.shape[0] - 1, 2):
            cells[0, sizes[j] >> _CUT] += _ONE
            cells[1, sizes[j + 1] >> _CUT] += _ONE
        if own.shape[0] % 2:
            cells[0, sizes[own.shape[0] - 1] >> _CUT] += _ONE
        sizes[own.shape[0] :] = _NONE
        length = _gather_odd(sizes, groups, odd, length)
    return int(length), max(np.int64(least >> _CUT), 1), np.int64(greatest >> _CUT)  # type: ignore[return-value]


@inlined
def _gather_odd(sizes: Array, groups: Array, odd: Array, length: np.uint64) -> np.uint64:
    """Adds the odd ones among some magnitudes; looks at no group that holds none; returns how many there are.

    Args:
        sizes: The magnitudes, uint32 [LANES]; those in a group lie one stride apart.
        groups: Room, uint32 [groups].
        odd: Where they are added.
        length: How many are there.
    """
    groups[:] = _NONE
    for k in range(_IN_GROUP):
        for g in range(_GROUPS):
            groups[g] |= sizes[k * _GROUPS + g]
    for g in range(_GROUPS):
        if groups[g] & _BELOW_CUT:
            for k in range(_IN_GROUP):
                size = sizes[k * _GROUPS + g]
                odd[length] = size
                length += _STEP if size & _BELOW_CUT else _STAY
    return length


@compiled
def count_odd(odd: Array, table: Array, found: Array) -> int:
    """Writes the packed counts of magnitudes, in no order; returns how many, or -1 where they are too many.

    Args:
        odd: The magnitudes.
        table: (magnitude, count), uint32 [SLOTS, 2], all empty; so it is left.
        found: The packed counts, uint64 [MOST_DISTINCT].
    """
    used = np.empty(MOST_DISTINCT, np.uint32)
    length = 0
    for j in range(odd.shape[0]):
        slot = np.uint32(odd[j] * _SCATTER) >> _TO_SLOT
        while table[slot, 0] != odd[j] and table[slot, 0] != EMPTY:
            slot = np.uint32((slot + _ONE) & _LAST_SLOT)
        if table[slot, 0] == EMPTY:
            if length == MOST_DISTINCT:
                table[:, 0] = EMPTY
                return -1
            table[slot, 0] = odd[j]
            table[slot, 1] = _NONE
            used[length] = slot
            length += 1
        table[slot, 1] += _ONE
    for k in range(length):
        slot = used[k]
        found[k] = (np.uint64(table[slot, 0]) << _HALF) | np.uint64(table[slot, 1])
        table[slot, 0] = EMPTY
    return length


@compiled
def list_upwards(cells: Array, odd: Array, first: int, last: int, found: Array) -> int:
    """Writes a block's packed counts, the smallest magnitude first, and empties the cells; returns how many.

    Args:
        cells: The counts of all its magnitudes, uint32 [2, CELLS].
        odd: The packed counts of its odd ones, upwards.
        first: Cell but 0 that is not empty.
        last: As well.
        found: Room, uint64 [CELLS + MOST_DISTINCT].
    """
    length, place, cell = 0, 0, 0
    while cell <= last:
        count = np.uint64(cells[0, cell] + cells[1, cell])
        if count > _STAY:
            cells[0, cell] = _NONE
            cells[1, cell] = _NONE
            begin = place
            while place < odd.shape[0] and odd[place] >> _CELL == np.uint64(cell):
                count -= odd[place] & _LOWER
                place += 1
            if count > _STAY:
                found[length] = (np.uint64(cell) << _CELL) | count
                length += 1
            for k in range(begin, place):
                found[length] = odd[k]
                length += 1
        cell = max(cell + 1, first)
    return length


@compiled
def sorted_by_cell(packed: Array) -> Array:
    """Returns packed counts upwards: put into their cells, and sorted inside each."""
    first, last = CELLS, 0
    for j in range(packed.shape[0]):
        cell = np.int64(packed[j] >> _CELL)
        first, last = min(first, cell), max(last, cell)  # type: ignore[assignment]
    ends = np.zeros(max(last - first + 1, 0), np.int64)
    for j in range(packed.shape[0]):
        ends[np.int64(packed[j] >> _CELL) - first] += 1
    ends = np.cumsum(ends)
    starts = ends.copy()
    found = np.empty_like(packed)
    for j in range(packed.shape[0] - 1, -1, -1):
        cell = np.int64(packed[j] >> _CELL) - first
        starts[cell] -= 1
        found[starts[cell]] = packed[j]
    for cell in range(ends.shape[0]):  # type: ignore[assignment]
        if ends[cell] - starts[cell] > 1:
            _sort(found[starts[cell] : ends[cell]])
    return found


@inlined
def _sort(numbers: Array) -> None:
    """Sorts some numbers in place."""
    if numbers.shape[0] > _FEW:
        numbers.sort()
        return
    for j in range(1, numbers.shape[0]):
        one, place = numbers[j], j
        while place > 0 and numbers[place - 1] > one:
            numbers[place] = numbers[place - 1]
            place -= 1
        numbers[place] = one


@compiled
def add_up_cells(packed: Array, cells: Array, odd: Array) -> tuple[int, int, int]:
    """Adds packed counts of round magnitudes to their cells; returns the others' number, first and last cell.

    Args:
        packed: Of several blocks.
        cells: Counts, int64 [CELLS].
        odd: Where the others' packed counts are written, uint64 [counts + 1].
    """
    length, first, last = 0, CELLS, 0
    for j in range(packed.shape[0]):
        one = packed[j]
        cell = np.int64(one >> _CELL)
        first, last = min(first, cell), max(last, cell)  # type: ignore[assignment]
        if np.uint32(one >> _HALF) & _BELOW_CUT:
            odd[length] = one
            length += 1
        else:
            cells[cell] += np.int64(one & _LOWER)
    return length, first, last


@compiled
def list_downwards(cells: Array, odd: Array, first: int, last: int, magnitudes: Array, until: Array) -> int:
    """Writes magnitudes, the largest first, and how many are as large or larger; returns how many there are.

    Args:
        cells: The counts of round magnitudes, int64 [CELLS]; they are emptied.
        odd: The packed counts of odd ones, upwards; one magnitude may have several.
        first: Cell that is not empty, or holds an odd magnitude.
        last: As well.
        magnitudes: Room, uint32.
        until: Room, int64.
    """
    length, reached, place = -1, 0, odd.shape[0] - 1
    for cell in range(last, first - 1, -1):
        before = np.uint64(EMPTY)
        while place >= 0 and odd[place] >> _CELL == np.uint64(cell):
            size = odd[place] >> _HALF
            reached += np.int64(odd[place] & _LOWER)  # type: ignore[assignment]
            if size != before:
                length += 1
                magnitudes[length] = np.uint32(size)
                before = size
            until[length] = reached
            place -= 1
        if cells[cell] > 0:
            length += 1
            reached += cells[cell]
            magnitudes[length] = np.uint32(cell) << _CUT
            until[length] = reached
            cells[cell] = 0
    return length + 1
