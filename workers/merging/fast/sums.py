"""Weighted sums of stored tensors, whichever loops carry them out: compiled ones or numpy's."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from workers.merging.fast.storage import Array
from workers.merging.fast.threads import STRETCH, Map, stretches


class SumLoops(Protocol):
    """What is done to a stretch: `passes.py` compiles it, `plain.py` has numpy do it."""

    def weighted_sum(self, out: Array, inputs: tuple[Array, ...], weights: Array, /) -> np.uint32:
        """Sets out = sum_i c_i W_i; returns 0, or something else where that holds NaN or infinity."""
        ...

    def weighted_differences(
        self, out: Array, base: Array, of_base: np.float32, inputs: tuple[Array, ...], weights: Array, /
    ) -> np.uint32:
        """Sets out = of_base W_0 + sum_i c_i (W_i - W_0); returns as `weighted_sum`."""
        ...


def add_up(
    loops: SumLoops,
    out: Array,
    parents: tuple[Array, ...],
    base: Array,
    weights: tuple[float, ...],
    work: Map,
) -> bool:
    """Writes sum_i c_i W_i + c_0 W_0, as `mixtures.weighted_sum` does; returns whether it is finite.

    Args:
        loops: Which ones.
        out: Flat.
        parents: The W_i, flat; one of weight 0 is not read.
        base: W_0; empty where there is none.
        weights: c_1 ... c_n, then c_0 where there is a base.
        work: How to go through the stretches.
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

    def part(start: int) -> np.uint32:
        stop = start + STRETCH
        stretch = tuple(one[start:stop] for one in inputs)
        if len(base):
            origin = base[start:stop]
            return loops.weighted_differences(out[start:stop], origin, np.float32(of_base), stretch, factors)
        return loops.weighted_sum(out[start:stop], stretch, factors)

    return not any(work(part, stretches(len(out))))
