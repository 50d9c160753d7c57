"""L1 norms of task vectors, of what is kept of them, and inner products: sums over a stretch.

Lengths are whole numbers of a unit, 2^-30 of the power of two above the largest magnitude: a sum of
whole numbers does not depend on its order, so that a table, a stretch and another processor give the
same.  Inner products are summed in lanes: entry j goes to the lane j modulo `LANES`, the lanes are added
up in order, whatever the width of the processor's vectors.
"""

from __future__ import annotations

import numpy as np

from workers.merging.fast.compiled.compiling import compiled, inlined
from workers.merging.fast.compiled.entries import MAGNITUDE
from workers.merging.fast.compiled.intrinsics import bits, widen
from workers.merging.fast.selection.rules import Rule, selected
from workers.merging.fast.storage import LANES, Array


@compiled
def _difference(out: Array, stored: Array, base: Array) -> None:
    """Sets out = stored - base in float64; an empty base is none."""
    if base.shape[0] == 0:
        for j in range(out.shape[0]):
            out[j] = np.float64(widen(stored[j]))
    else:
        for j in range(out.shape[0]):
            out[j] = np.float64(widen(stored[j])) - np.float64(widen(base[j]))


@compiled
def _add_products(lanes: Array, left: Array, right: Array) -> None:
    """Adds left * right to the lanes."""
    for j in range(lanes.shape[0]):
        lanes[j] += left[j] * right[j]


@compiled
def _added_up(lanes: Array) -> float:
    """Returns the sum of the lanes in float64, in order."""
    total = 0.0
    for j in range(lanes.shape[0]):
        total += np.float64(lanes[j])
    return total


@compiled
def peak(parent: Array, base: Array) -> np.uint32:
    """Returns the largest magnitude of parent - base, as bits; NaN is larger than all."""
    largest = np.uint32(0)
    for j in range(parent.shape[0]):
        size = bits(widen(parent[j]) - widen(base[j])) & MAGNITUDE
        largest = max(largest, size)
    return largest


@inlined
def in_units(value: np.float32, units: float) -> np.int64:
    """Returns |value| in whole units, of which `units` make 1."""
    return np.int64(abs(np.float64(value)) * units)


@compiled
def kept_length(
    parent: Array, base: Array, units: float, rule: Rule, ends: Array, start: int, stop: int
) -> int:
    """Returns sum |parent - base|, in units, over the entries in [start, stop) that a rule keeps.

    Args:
        parent: Flat [entries], as `base`.
        base: As above.
        units: How many make 1.
        rule: For this one task vector.
        ends: Where its pieces end, int64.
        start: The first entry.
        stop: Past the last.
    """
    total = np.int64(0)
    for piece in range(ends.shape[0]):
        begin = np.uint64(max(start, ends[piece - 1] if piece else 0))
        for j in range(begin, np.uint64(max(min(stop, ends[piece]), 0))):
            delta = widen(parent[j]) - widen(base[j])
            total += in_units(selected(rule, piece, 0, j, 0, np.uint32(j), delta), units)
    return int(total)


@compiled
def count_magnitude(parent: Array, base: Array, level: np.uint32) -> int:
    """Returns how many entries of parent - base have exactly this magnitude, given as bits."""
    count = np.uint32(0)
    for j in range(parent.shape[0]):
        same = (bits(widen(parent[j]) - widen(base[j])) & MAGNITUDE) == level
        count += np.uint32(1) if same else np.uint32(0)
    return int(count)


@compiled
def products(vectors: tuple[Array, ...], base: Array) -> Array:
    """Returns <x_i - o, x_k - o> over the entries, float64 [n, n], lower triangle; an empty base is none."""
    count = len(vectors)
    wide = np.empty((count, LANES))
    lanes = np.zeros((count, count, LANES))
    for start in range(0, vectors[0].shape[0], LANES):
        stop = min(start + LANES, vectors[0].shape[0])
        for i in range(count):
            _difference(wide[i, : stop - start], vectors[i][start:stop], base[start:stop])
            for k in range(i + 1):
                _add_products(lanes[i, k, : stop - start], wide[i], wide[k])
    total = np.zeros((count, count))
    for i in range(count):
        for k in range(i + 1):
            total[i, k] = _added_up(lanes[i, k])
    return total
