"""The passes: what is done to a stretch of a tensor while its numbers travel once.

The arrays of a pass are stretches of equal length of flat tensors.  Each pass returns 0, or something
else where the result holds NaN or infinity.  The inner loops run over a tuple, whose length the
compiler knows: it writes them out, and the outer loop becomes vector instructions, up to
`applicable.MOST_INPUTS` inputs.  There every contribution is written twice and computed once.
"""

from __future__ import annotations

import numpy as np

from workers.merging.fast.compiling import compiled
from workers.merging.fast.entries import (
    TOP,
    ZERO,
    at_random,
    between,
    brokenness,
    by_key,
    counts,
    divided,
    not_against,
    sign_of,
)
from workers.merging.fast.intrinsics import narrow, widen
from workers.merging.fast.storage import Array


@compiled
def weighted_sum(out: Array, inputs: tuple[Array, ...], weights: Array) -> np.uint32:
    """Sets out = sum_i weights_i inputs_i."""
    broken = np.uint32(0)
    for j in range(out.shape[0]):
        total = ZERO
        for k in range(len(inputs)):
            total += weights[k] * widen(inputs[k][j])
        out[j] = narrow(total, out[j])
        broken |= brokenness(out[j])
    return np.uint32(broken & TOP)


@compiled
def weighted_sum_onto(out: Array, base: Array, inputs: tuple[Array, ...], weights: Array) -> np.uint32:
    """Sets out = base + sum_i weights_i inputs_i."""
    broken = np.uint32(0)
    for j in range(out.shape[0]):
        total = ZERO
        for k in range(len(inputs)):
            total += weights[k] * widen(inputs[k][j])
        out[j] = narrow(total + widen(base[j]), out[j])
        broken |= brokenness(out[j])
    return np.uint32(broken & TOP)


@compiled
def weighted_differences(
    out: Array, base: Array, of_base: np.float32, inputs: tuple[Array, ...], weights: Array
) -> np.uint32:
    """Sets out = of_base * base + sum_i weights_i (inputs_i - base)."""
    broken = np.uint32(0)
    for j in range(out.shape[0]):
        origin = widen(base[j])
        total = ZERO
        for k in range(len(inputs)):
            total += weights[k] * (widen(inputs[k][j]) - origin)
        out[j] = narrow(total + of_base * origin, out[j])
        broken |= brokenness(out[j])
    return np.uint32(broken & TOP)


@compiled
def sum_between(
    out: Array,
    base: Array,
    parents: tuple[Array, ...],
    limits: Array,
    scales: Array,
    weights: Array,
    factor: np.float32,
) -> np.uint32:
    """Sets out = base + factor * sum_i weights_i scales_i kept_i(parents_i - base).

    Kept are magnitudes limits[i, 0] ... limits[i, 1], given as bits.
    """
    broken = np.uint32(0)
    for j in range(out.shape[0]):
        origin = widen(base[j])
        total = ZERO
        for k in range(len(parents)):
            kept = between(widen(parents[k][j]) - origin, limits[k, 0], limits[k, 1])
            total += kept * scales[k] * weights[k]
        out[j] = narrow(total * factor + origin, out[j])
        broken |= brokenness(out[j])
    return np.uint32(broken & TOP)


@compiled
def elect_between(
    out: Array,
    base: Array,
    parents: tuple[Array, ...],
    limits: Array,
    scales: Array,
    weights: Array,
    factor: np.float32,
    at_zero: np.float32,
    smallest: np.float32,
) -> np.uint32:
    """As `sum_between`, of the contributions whose sign is that of their sum, `at_zero` where it is zero.

    Divided by the sum of the weights that took part, where that is more than `smallest`.
    """
    broken = np.uint32(0)
    for j in range(out.shape[0]):
        origin = widen(base[j])
        total, merged, share = ZERO, ZERO, ZERO
        for k in range(len(parents)):
            kept = between(widen(parents[k][j]) - origin, limits[k, 0], limits[k, 1])
            total += kept * scales[k] * weights[k]
        sign = sign_of(total, at_zero)
        for k in range(len(parents)):
            kept = between(widen(parents[k][j]) - origin, limits[k, 0], limits[k, 1])
            along = kept * scales[k] * weights[k] * sign
            merged += not_against(along)
            share += weights[k] * counts(along)
        out[j] = narrow(divided(merged, share, smallest) * sign * factor + origin, out[j])
        broken |= brokenness(out[j])
    return np.uint32(broken & TOP)


@compiled
def sum_at_random(
    out: Array,
    base: Array,
    parents: tuple[Array, ...],
    first: np.uint32,
    seeds: Array,
    last: Array,
    scales: Array,
    weights: Array,
    factor: np.float32,
) -> np.uint32:
    """As `sum_between`; kept are entries whose random word, of the seed's words seeds[i], is at most last[i].

    `first` is the index of the stretch's first entry.
    """
    broken = np.uint32(0)
    for j in range(out.shape[0]):
        origin = widen(base[j])
        index = np.uint32(first + np.uint32(j))
        total = ZERO
        for k in range(len(parents)):
            kept = at_random(widen(parents[k][j]) - origin, index, seeds[k, 0], seeds[k, 1], last[k])
            total += kept * scales[k] * weights[k]
        out[j] = narrow(total * factor + origin, out[j])
        broken |= brokenness(out[j])
    return np.uint32(broken & TOP)


@compiled
def elect_at_random(
    out: Array,
    base: Array,
    parents: tuple[Array, ...],
    first: np.uint32,
    seeds: Array,
    last: Array,
    scales: Array,
    weights: Array,
    factor: np.float32,
    at_zero: np.float32,
    smallest: np.float32,
) -> np.uint32:
    """As `sum_at_random`, elected as in `elect_between`."""
    broken = np.uint32(0)
    for j in range(out.shape[0]):
        origin = widen(base[j])
        index = np.uint32(first + np.uint32(j))
        total, merged, share = ZERO, ZERO, ZERO
        for k in range(len(parents)):
            kept = at_random(widen(parents[k][j]) - origin, index, seeds[k, 0], seeds[k, 1], last[k])
            total += kept * scales[k] * weights[k]
        sign = sign_of(total, at_zero)
        for k in range(len(parents)):
            kept = at_random(widen(parents[k][j]) - origin, index, seeds[k, 0], seeds[k, 1], last[k])
            along = kept * scales[k] * weights[k] * sign
            merged += not_against(along)
            share += weights[k] * counts(along)
        out[j] = narrow(divided(merged, share, smallest) * sign * factor + origin, out[j])
        broken |= brokenness(out[j])
    return np.uint32(broken & TOP)


@compiled
def sum_by_key(
    out: Array,
    base: Array,
    parents: tuple[Array, ...],
    keys: tuple[Array, ...],
    bounds: Array,
    scales: Array,
    weights: Array,
    factor: np.float32,
) -> np.uint32:
    """As `sum_between`; kept are entries whose key is below bounds[i]."""
    broken = np.uint32(0)
    for j in range(out.shape[0]):
        origin = widen(base[j])
        total = ZERO
        for k in range(len(parents)):
            kept = by_key(widen(parents[k][j]) - origin, keys[k][j], bounds[k])
            total += kept * scales[k] * weights[k]
        out[j] = narrow(total * factor + origin, out[j])
        broken |= brokenness(out[j])
    return np.uint32(broken & TOP)


@compiled
def elect_by_key(
    out: Array,
    base: Array,
    parents: tuple[Array, ...],
    keys: tuple[Array, ...],
    bounds: Array,
    scales: Array,
    weights: Array,
    factor: np.float32,
    at_zero: np.float32,
    smallest: np.float32,
) -> np.uint32:
    """As `sum_by_key`, elected as in `elect_between`."""
    broken = np.uint32(0)
    for j in range(out.shape[0]):
        origin = widen(base[j])
        total, merged, share = ZERO, ZERO, ZERO
        for k in range(len(parents)):
            kept = by_key(widen(parents[k][j]) - origin, keys[k][j], bounds[k])
            total += kept * scales[k] * weights[k]
        sign = sign_of(total, at_zero)
        for k in range(len(parents)):
            kept = by_key(widen(parents[k][j]) - origin, keys[k][j], bounds[k])
            along = kept * scales[k] * weights[k] * sign
            merged += not_against(along)
            share += weights[k] * counts(along)
        out[j] = narrow(divided(merged, share, smallest) * sign * factor + origin, out[j])
        broken |= brokenness(out[j])
    return np.uint32(broken & TOP)
