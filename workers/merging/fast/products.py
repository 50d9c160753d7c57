"""Inner products of tensors, or of their task vectors, in one pass and in float64."""

from __future__ import annotations

import numpy as np

from workers.merging.fast.lengths import products
from workers.merging.fast.storage import Array
from workers.merging.fast.threads import STRETCH, Map, stretches

Gram = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def inner_products(vectors: tuple[Array, ...], base: Array, work: Map) -> Gram:
    """Returns <x_i - o, x_j - o> over all entries [n, n].

    Args:
        vectors: n flat tensors of one length.
        base: The origin o; empty is none.
        work: How to go through the stretches.
    """
    if not vectors:
        return np.zeros((0, 0))

    def part(start: int) -> Array:
        stop = start + STRETCH
        return products(tuple(vector[start:stop] for vector in vectors), base[start:stop])

    total = np.zeros((len(vectors), len(vectors)))
    for found in work(part, stretches(len(vectors[0]))):
        total += found
    return np.tril(total) + np.tril(total, -1).T
