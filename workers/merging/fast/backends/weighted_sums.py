"""Weighted sums of stored tensors, whichever kernels carry them out: compiled ones or numpy's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from workers.merging.fast.storage import Array
from workers.merging.fast.threads import STRETCH, Map, stretches


class SumKernel(Protocol):
    """How a weighted sum is made: `numba_kernels.weighted_sum` or `numpy_kernels.weighted_sum`."""

    def __call__(
        self, out: Array, inputs: tuple[Array, ...], weights: Array, base: Array, of_base: np.float32, /
    ) -> Callable[[int, int], bool]:
        """Returns what writes the entries [start, stop) and says whether they are broken."""
        ...


def add_up(
    kernel: SumKernel,
    out: Array,
    parents: tuple[Array, ...],
    base: Array,
    weights: tuple[float, ...],
    work: Map,
    count: int,
) -> bool:
    """Writes sum_i c_i W_i + c_0 W_0, as `mixtures.weighted_sum` does; returns whether it is finite.

    Args:
        kernel: Which one.
        out: Flat [entries], or as pairs of them, as all arrays.
        parents: The W_i, flat [entries]; one of weight 0 is not read.
        base: W_0 [entries]; empty where there is none.
        weights: c_1 ... c_n, then c_0 where there is a base.
        work: How to go through the stretches.
        count: How many entries there are.
    """
    taking_part = [number for number in range(len(parents)) if weights[number] != 0.0]
    inputs = tuple(parents[number] for number in taking_part)
    factors = np.array([weights[number] for number in taking_part], np.float32)
    of_base = 0.0
    if len(base):
        share = math.fsum(weights)
        # What rounding leaves of a sum that is one by construction must not move the base.
        of_base = 1.0 if abs(share - 1.0) < 1e-12 else share
    if not inputs:  # the compiled pass wants at least one
        inputs, factors = (parents[0] if parents else base,), np.zeros(1, np.float32)
    run = kernel(out, inputs, factors, base, np.float32(of_base))
    return all_finite(run, count, work)


def all_finite(run: Callable[[int, int], bool], count: int, work: Map) -> bool:
    """Carries out a pass over so many entries, stretch by stretch; returns whether all are finite."""
    if count <= STRETCH:
        return not run(0, count)
    return not any(work(lambda start: run(start, min(start + STRETCH, count)), stretches(count)))
