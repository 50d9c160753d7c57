"""What `passes.py` and `lengths.py` do to a stretch, by numpy: number for number the same operations."""

from __future__ import annotations

import numpy as np

from workers.merging.fast.storage import HALF_OF_ONE, LANES, QUIET, Array


def weighted_sum(out: Array, inputs: tuple[Array, ...], weights: Array) -> np.uint32:
    """Sets out = sum_i weights_i inputs_i; returns 0, or 1 where that holds NaN or infinity."""
    with np.errstate(all="ignore"):
        total = np.zeros(len(out), np.float32)
        for stored, weight in zip(inputs, weights, strict=True):
            total += weight * _widened(stored)
    return _store(total, out)


def weighted_differences(
    out: Array, base: Array, of_base: np.float32, inputs: tuple[Array, ...], weights: Array
) -> np.uint32:
    """Sets out = of_base * base + sum_i weights_i (inputs_i - base); returns as `weighted_sum`."""
    with np.errstate(all="ignore"):
        origin = _widened(base)
        total = np.zeros(len(out), np.float32)
        for stored, weight in zip(inputs, weights, strict=True):
            total += weight * (_widened(stored) - origin)
        total += of_base * origin
    return _store(total, out)


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


def _store(total: Array, out: Array) -> np.uint32:
    """Writes float32 numbers as they are stored, rounded to nearest even."""
    if out.dtype == np.float32:
        out[:] = total
    else:
        words = total.view(np.uint32)
        upper = words >> np.uint32(16)
        rounded = (words + ((upper & np.uint32(1)) + np.uint32(HALF_OF_ONE))) >> np.uint32(16)
        out[:] = np.where(np.isnan(total), upper | np.uint32(QUIET), rounded)
    return np.uint32(not np.isfinite(_widened(out)).all())
