"""Order statistics of a task vector's magnitudes, |W_i - W_0|, exactly.

As bits, magnitudes rank as whole numbers do: 31 of them, an upper half of 15 and a lower half of 16.
One rank is found in one pass that gathers what a sample makes likely.  A table of all distinct
magnitudes answers every rank at once; it takes counting by blocks, or where magnitudes are many a sort, by
the upper half and then by the lower, and memory: a search makes it once.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workers.merging.fast.compiled.compiling import compiled
from workers.merging.fast.compiled.entries import MAGNITUDE, random_word
from workers.merging.fast.compiled.intrinsics import bits, widen
from workers.merging.fast.statistics.block_counts import BlockCounts, count_blocks
from workers.merging.fast.storage import LANES, Array
from workers.merging.fast.threads import STRETCH, Map, stretches

_BINS = 1 << 15
_LOWER = 1 << 16
_SAMPLE = 1 << 14
_TOGETHER = 8  # neighbours in a sample: memory is read by lines of several numbers
_LARGEST = 2**31 - 1  # bits of a magnitude
_FEW = 512  # members of a bin that are sorted sooner than counted
_HALF = np.uint32(16)


@dataclass(frozen=True, slots=True)
class Level:
    """One magnitude among all of a task vector.

    Attributes:
        bits: Of the magnitude.
        above: How many entries are larger.
        equal: How many are as large.
    """

    bits: int
    above: int
    equal: int


@dataclass(frozen=True, slots=True)
class MagnitudeTable:
    """All distinct magnitudes of a task vector, the largest first.

    Attributes:
        bits: uint32 [distinct].
        until: How many entries are as large or larger, int64 [distinct].
        blocks: How often each occurs in each block, where that was counted.
    """

    bits: Array
    until: Array
    blocks: BlockCounts | None = None

    @property
    def nbytes(self) -> int:
        """The memory it takes."""
        return self.bits.nbytes + self.until.nbytes + (self.blocks.nbytes if self.blocks else 0)

    def level(self, rank: int) -> Level:
        """Returns the magnitude of this rank; rank 0 is the largest."""
        place = int(np.searchsorted(self.until, rank, side="right"))
        above = int(self.until[place - 1]) if place else 0
        return Level(int(self.bits[place]), above, int(self.until[place]) - above)


def magnitude_table(parent: Array, base: Array, work: Map) -> MagnitudeTable:
    """Returns the table of a task vector [entries]."""
    blocks = count_blocks(parent, base, work)
    found, until = _distinct(parent, base) if blocks is None else blocks.distinct()
    return MagnitudeTable(found, until, blocks)


def find_level(parent: Array, base: Array, rank: int, work: Map) -> Level:
    """Returns the magnitude of this rank without a table; rank 0 is the largest.

    A sample tells a range that nearly surely holds it; what lies in the range is gathered in one pass.
    Where the sample was misleading, everything is counted instead.
    """
    low, high = _likely_range(parent, base, rank)

    def part(start: int) -> tuple[int, Array]:
        inside, room = slice(start, start + STRETCH), _room()
        above, length = _gather(parent[inside], base[inside], np.uint32(low), np.uint32(high), room)
        return above, room[:length].copy()

    parts = work(part, stretches(len(parent)))
    above = sum(count for count, _ in parts)
    members = np.concatenate([found for _, found in parts])
    if not 0 <= rank - above < len(members):
        return _count_level(parent, base, rank, work)
    shift = max((high - low).bit_length() - 16, 0)
    bin_, further, _ = _reached(_count_offsets(members, np.uint32(low), np.uint32(shift)), rank - above)
    inside = np.sort(members[(members - np.uint32(low)) >> np.uint32(shift) == bin_])[::-1]
    level = inside[rank - above - further]
    larger = int((inside > level).sum())
    return Level(int(level), above + further + larger, int((inside == level).sum()))


_ROOMS = threading.local()


def _room() -> Array:
    """Returns this thread's room for the members of a stretch; fresh memory would cost more than its use."""
    if not hasattr(_ROOMS, "room"):
        _ROOMS.room = np.empty(STRETCH + 1, np.uint32)
    found: Array = _ROOMS.room
    return found


def _likely_range(parent: Array, base: Array, rank: int) -> tuple[int, int]:
    """Returns bits of magnitudes between which the one of this rank lies, most likely."""
    count = len(parent)
    if count <= 4 * _SAMPLE:
        return 0, _LARGEST
    sample = _sample(parent, base)
    sample.sort()
    middle = (1.0 - (rank + 0.5) / count) * _SAMPLE
    # Six standard deviations of where an entry of this rank falls in a sample.
    slack = 6.0 * math.sqrt(max(middle * (1.0 - middle / _SAMPLE), 1.0)) + 2.0
    low, high = math.floor(middle - slack), math.ceil(middle + slack)
    return (
        int(sample[low]) if low >= 0 else 0,
        int(sample[high]) if high < _SAMPLE else _LARGEST,
    )


def _count_level(parent: Array, base: Array, rank: int, work: Map) -> Level:
    """Returns the magnitude of this rank by two passes that count, by the upper half and the lower."""

    def counted(count: Callable[[Array, Array], Array]) -> Array:
        parts = work(
            lambda start: count(parent[start : start + STRETCH], base[start : start + STRETCH]),
            stretches(len(parent)),
        )
        total: Array = np.sum(parts, axis=0)
        return total

    upper, above, _ = _reached(counted(_count_bins), rank)
    members = counted(lambda part, origin: _count_members(part, origin, upper))
    lower, further, equal = _reached(members, rank - above)
    return Level((upper << 16) | lower, above + further, equal)


def _reached(counts: Array, rank: int) -> tuple[int, int, int]:
    """Returns in which bin a rank falls, counted from the last bin, how many lie in later ones, and in it."""
    until = np.cumsum(counts[::-1])
    place = int(np.searchsorted(until, rank, side="right"))
    inside = int(counts[len(counts) - 1 - place])
    return len(counts) - 1 - place, int(until[place]) - inside, inside


@compiled
def _sample(parent: Array, base: Array) -> Array:
    """Returns magnitudes, as bits, of entries all over the task vector, uint32."""
    found = np.empty(_SAMPLE, np.uint32)
    groups = parent.shape[0] // _TOGETHER
    for j in range(0, _SAMPLE, _TOGETHER):
        word = np.uint64(np.uint32(random_word(np.uint32(j), np.uint32(0), np.uint32(0))))
        start = np.int64((word * np.uint64(groups)) >> np.uint64(32)) * _TOGETHER
        for k in range(_TOGETHER):
            found[j + k] = bits(widen(parent[start + k]) - widen(base[start + k])) & MAGNITUDE
    return found


@compiled
def _gather(parent: Array, base: Array, low: np.uint32, high: np.uint32, room: Array) -> tuple[int, int]:
    """Writes the magnitudes in a range, as bits; returns how many lie above it, and in it.

    Every magnitude is written, and only those in the range move the place of the next: no branches.
    """
    above, length = np.uint32(0), np.uint64(0)
    sizes = np.empty(LANES, np.uint32)
    for start in range(0, parent.shape[0], LANES):
        own, origin = parent[start : start + LANES], base[start : start + LANES]
        for j in range(own.shape[0]):
            size = bits(widen(own[j]) - widen(origin[j])) & MAGNITUDE
            sizes[j] = size
            above += np.uint32(1) if size > high else np.uint32(0)
        for j in range(own.shape[0]):
            room[length] = sizes[j]
            length += np.uint64(1) if np.uint32(sizes[j] - low) <= np.uint32(high - low) else np.uint64(0)
    return int(above), int(length)


@compiled
def _count_offsets(members: Array, low: np.uint32, shift: np.uint32) -> Array:
    """Returns how many members lie so many steps of 2^shift above `low`, int64 [2^16]."""
    counts = np.zeros(_LOWER, np.int64)
    for j in range(members.shape[0]):
        counts[np.uint32(members[j] - low) >> shift] += 1
    return counts


@compiled
def _count_bins(parent: Array, base: Array) -> Array:
    counts = np.zeros(_BINS, np.int64)
    for j in range(parent.shape[0]):
        counts[(bits(widen(parent[j]) - widen(base[j])) & MAGNITUDE) >> _HALF] += 1
    return counts


@compiled
def _count_members(parent: Array, base: Array, upper: int) -> Array:
    counts = np.zeros(_LOWER, np.int64)
    for j in range(parent.shape[0]):
        size = bits(widen(parent[j]) - widen(base[j])) & MAGNITUDE
        if size >> _HALF == upper:
            counts[size & np.uint32(0xFFFF)] += 1
    return counts


@compiled
def _sorted_bin(inside: Array, upper: np.uint32, reached: int, found: Array, until: Array) -> int:
    """Lists a small bin's magnitudes, the largest first; returns how many there are."""
    inside.sort()
    length = 0
    for j in range(inside.shape[0] - 1, -1, -1):
        reached += 1
        if j == inside.shape[0] - 1 or inside[j] != inside[j + 1]:
            found[length] = upper | np.uint32(inside[j])
            length += 1
        until[length - 1] = reached
    return length


@compiled
def _counted_bin(
    inside: Array, upper: np.uint32, reached: int, found: Array, until: Array, counts: Array
) -> int:
    """Lists a large bin's magnitudes, the largest first; returns how many there are."""
    counts[:] = 0
    for j in range(inside.shape[0]):
        counts[inside[j]] += 1
    length = 0
    for lower in range(_LOWER - 1, -1, -1):
        if counts[lower] > 0:
            reached += counts[lower]
            found[length] = upper | np.uint32(lower)
            until[length] = reached
            length += 1
    return length


@compiled
def _distinct(parent: Array, base: Array) -> tuple[Array, Array]:
    """Returns the distinct magnitudes, the largest first, and how many entries are at least as large."""
    counts = _count_bins(parent, base)
    ends = np.cumsum(counts)
    places = ends - counts
    members = np.empty(parent.shape[0], np.uint16)
    for j in range(parent.shape[0]):
        size = bits(widen(parent[j]) - widen(base[j])) & MAGNITUDE
        upper = size >> _HALF
        members[places[upper]] = np.uint16(size & np.uint32(0xFFFF))
        places[upper] += 1
    found, until = np.empty(1024, np.uint32), np.empty(1024, np.int64)
    length, reached = 0, 0
    scratch = np.zeros(_LOWER, np.int64)
    for upper in range(_BINS - 1, -1, -1):
        if counts[upper] == 0:
            continue
        inside = members[ends[upper] - counts[upper] : ends[upper]]
        most = length + min(inside.shape[0], _LOWER)
        if most > found.shape[0]:
            found = np.concatenate((found[:length], np.empty(most, np.uint32)))
            until = np.concatenate((until[:length], np.empty(most, np.int64)))
        top, free, free_until = np.uint32(upper) << _HALF, found[length:], until[length:]
        if inside.shape[0] <= _FEW:
            length += _sorted_bin(inside, top, reached, free, free_until)
        else:
            length += _counted_bin(inside, top, reached, free, free_until, scratch)
        reached += inside.shape[0]
    return found[:length].copy(), until[:length].copy()
