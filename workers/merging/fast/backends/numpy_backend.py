"""Weighted sums of small tensors with numpy: the bits of the compiled passes, and no compiler to load.

Loading the compiler takes longer than merging a small model.  Every number is computed by the
operations of the compiled kernels, in their order.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from workers.merging.arithmetic.mixtures import mixture_weights, scalars_of
from workers.merging.fast.backends import numpy_kernels
from workers.merging.fast.backends.weighted_sums import add_up
from workers.merging.fast.statistics.inner_products import Gram, inner_products
from workers.merging.fast.storage import Array, as_array
from workers.merging.fast.threads import one_by_one
from workers.merging.kernel import Ingredients, Mixture
from workers.merging.methods import MIXTURES

MOST_ENTRIES = 1 << 17
"""Of a tensor that is merged so: about a millisecond's work."""


def merge_with_numpy(kernel: str, ingredients: Ingredients, out: Tensor) -> bool:
    """Writes a weighted sum; returns whether it is finite.

    Args:
        kernel: A method that is one (`applicable.is_summed`).
        ingredients: Its inputs, as the passes read them.
        out: As they write.

    Raises:
        MergeError: The recipe's numbers give no tensor.
    """
    parents = tuple(as_array(parent) for parent in ingredients.parents)
    base = as_array(out)[:0] if ingredients.base is None else as_array(ingredients.base)
    if kernel == "passthrough":
        weights = ingredients.per_parent["scale"]
    else:
        mixture = MIXTURES[kernel]
        weights = mixture_weights(mixture, scalars_of(ingredients, _gram(mixture, parents, base)))
    return add_up(numpy_kernels.weighted_sum, as_array(out), parents, base, weights, one_by_one, out.numel())


def _gram(mixture: Mixture, parents: tuple[Array, ...], base: Array) -> Gram:
    if mixture.products_of == "nothing":
        return np.zeros((0, 0))
    if mixture.products_of == "task_vectors":
        return inner_products(numpy_kernels.products, parents, base, one_by_one)
    vectors = (*parents, base) if len(base) else parents
    return inner_products(numpy_kernels.products, vectors, base[:0], one_by_one)
