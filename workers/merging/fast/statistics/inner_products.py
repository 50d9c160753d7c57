"""Inner products of tensors, or of their task vectors, in one pass and in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workers.merging.fast.storage import Array
from workers.merging.fast.threads import STRETCH, Map, stretches

Products = Callable[[tuple[Array, ...], Array], Array]
"""(n stretches, the origin's) -> their inner products, lower triangle [n, n]."""

Gram = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def inner_products(products: Products, vectors: tuple[Array, ...], base: Array, work: Map) -> Gram:
    """Returns <x_i - o, x_j - o> over all entries [n, n].

    Args:
        products: Those of a stretch: `lengths.products` or `numpy_kernels.products`.
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
