"""What the compiled passes and inner products do, by numpy: number for number the same operations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workers.merging.fast.storage import HALF_OF_ONE, LANES, QUIET, Array


def weighted_sum(
    out: Array, inputs: tuple[Array, ...], weights: Array, base: Array, of_base: np.float32
) -> Callable[[int, int], bool]:
    """Returns what writes out = sum_i weights_i inputs_i from one entry up to another.

    It returns whether that holds NaN or infinity.

    Args:
        out: Flat [entries], float32 or bfloat16 as uint16, as all arrays here.
        inputs: n of them [entries].
        weights: Float32 [n].
        base: Empty, or [entries]: then out = of_base base + sum_i weights_i (inputs_i - base).
        of_base: As above.
    """

    def run(start: int, stop: int) -> bool:
        with np.errstate(all="ignore"):
            origin = _widened(base[start:stop]) if len(base) else np.float32(0.0)
            total = np.zeros(stop - start, np.float32)
            for stored, weight in zip(inputs, weights, strict=True):
                own = _widened(stored[start:stop])
                total += weight * (own - origin if len(base) else own)
            if len(base):
                total += of_base * origin
        return _store(total, out[start:stop])

    return run


def products(vectors: tuple[Array, ...], base: Array) -> Array:
    """Returns <x_i - o, x_k - o> over the entries, float64 [n, n], lower triangle; an empty base is none."""
    count = len(vectors)
    total = np.zeros((count, count))
    with np.errstate(all="ignore"):
        wide = [_widened(vector).astype(np.float64) for vector in vectors]
        if len(base):
            origin = _widened(base).astype(np.float64)
            wide = [vector - origin for vector in wide]
        for i in range(count):
            for k in range(i + 1):
                total[i, k] = _in_lanes(wide[i], wide[k])
    return total


def _in_lanes(left: Array, right: Array) -> float:
    """Returns <left, right>, summed lane by lane and then over the lanes, in order."""
    lanes = np.zeros(LANES)
    for start in range(0, len(left), LANES):
        added = left[start : start + LANES] * right[start : start + LANES]
        lanes[: len(added)] += added
    return float(np.cumsum(lanes)[-1])  # one after the other; `sum` would add in pairs


def _widened(stored: Array) -> Array:
    """Returns stored numbers as float32."""
    if stored.dtype == np.float32:
        return stored
    words = stored.astype(np.uint32) << np.uint32(16)
    return words.view(np.float32)


def _store(total: Array, out: Array) -> bool:
    """Writes float32 numbers as they are stored, rounded to nearest even; returns whether any is broken."""
    if out.dtype == np.float32:
        out[:] = total
    else:
        words = total.view(np.uint32)
        upper = words >> np.uint32(16)
        rounded = (words + ((upper & np.uint32(1)) + np.uint32(HALF_OF_ONE))) >> np.uint32(16)
        out[:] = np.where(np.isnan(total), upper | np.uint32(QUIET), rounded)
    return not np.isfinite(_widened(out)).all()
