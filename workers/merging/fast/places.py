"""Where, among entries of one magnitude, a rank falls: equals rank as they lie in memory."""

from __future__ import annotations

import numpy as np

from workers.merging.fast.compiling import compiled
from workers.merging.fast.entries import MAGNITUDE
from workers.merging.fast.intrinsics import bits, widen
from workers.merging.fast.lengths import count_magnitude
from workers.merging.fast.storage import LANES, Array


@compiled
def place_after(parent: Array, base: Array, level: np.uint32, count: int, equal: int) -> int:
    """Returns a place before which lie, in memory's order, `count` of the `equal` entries of this magnitude.

    Whichever end is nearer is where the search begins.
    """
    if count > equal // 2:
        return _place_before(parent, base, level, equal - count)
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
