"""Weighted sums of the inputs whose weights follow from inner products, and how they are carried out.

A method that is a `Mixture` says only how its weights follow from the Gram matrix of its vectors.
`kernel_of` makes its kernel: first all products in float64, then one weighted sum.

    G_ij = <x_i, x_j>,   W = sum_i c_i(G) W_i + c_0(G) W_0

W_i, W_0 [...] of one shape; x_i the inputs or the task vectors, as the mixture asks; G [n, n].
Where there is a base, the sum is carried out as (c_0 + sum_i c_i) W_0 + sum_i c_i (W_i - W_0): the same
numbers, but parents that are the base give the base to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from workers.merging.arithmetic.precision import accumulation_dtype, chunk_length
from workers.merging.arithmetic.weighting import normalizer
from workers.merging.kernel import Ingredients, Kernel, Mixture, Scalars

Gram = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def kernel_of(mixture: Mixture) -> Kernel:
    """Returns the kernel that defines a mixture: products in float64, then one accumulated sum."""

    def kernel(ingredients: Ingredients) -> Tensor:
        gram = gram_of(mixture, ingredients)
        return weighted_sum(ingredients, mixture_weights(mixture, scalars_of(ingredients, gram)))

    return kernel


def gram_of(mixture: Mixture, ingredients: Ingredients) -> Gram:
    """Returns the inner products [n, n] that a mixture asks for; [0, 0] where it asks for none."""
    base, parents = ingredients.base, ingredients.parents
    if mixture.products_of == "nothing":
        return np.zeros((0, 0))
    if mixture.products_of == "task_vectors":
        return inner_products(parents, base)
    return inner_products(parents if base is None else (*parents, base))


def scalars_of(ingredients: Ingredients, gram: Gram) -> Scalars:
    """Returns what a mixture's weights follow from."""
    like = (*ingredients.parents, ingredients.base)[0]
    return Scalars(
        per_parent=ingredients.per_parent,
        shared=ingredients.shared,
        choices=ingredients.choices,
        gram=gram,
        with_base=ingredients.base is not None,
        size=0 if like is None else like.numel(),
        findings=ingredients.findings,
    )


def mixture_weights(mixture: Mixture, scalars: Scalars) -> tuple[float, ...]:
    """Returns the mixture's weights; where an input holds NaN or infinity, so that none is finite, NaN.

    Raises:
        MergeError: The parameters give no weights.
    """
    if scalars.gram.size and not np.isfinite(scalars.gram).all():
        return (math.nan,) * (len(scalars.gram) + (scalars.with_base and mixture.products_of != "inputs"))
    return mixture.weights(scalars)


def inner_products(vectors: Sequence[Tensor], origin: Tensor | None = None) -> Gram:
    """Returns <x_i - o, x_j - o> over all elements [n, n], in float64 and without full-size copies.

    Args:
        vectors: n tensors of one shape [...].
        origin: What is subtracted from each, of the same shape; None subtracts nothing.
    """
    count = len(vectors)
    if not count:
        return np.zeros((0, 0))
    device = vectors[0].device
    total = torch.zeros((count, count), dtype=torch.float64, device=device)
    flat = [vector.reshape(-1) for vector in vectors]
    start_of = None if origin is None else origin.reshape(-1)
    length = chunk_length(device)
    for start in range(0, flat[0].numel(), length):
        part = slice(start, start + length)
        chunks = [vector[part].double() for vector in flat]
        if start_of is not None:
            zero = start_of[part].double()
            chunks = [chunk - zero for chunk in chunks]
        for i in range(count):
            for j in range(i + 1):
                total[i, j] += torch.dot(chunks[i], chunks[j])
    found: Gram = total.cpu().numpy()
    return np.tril(found) + np.tril(found, -1).T


def weighted_sum(ingredients: Ingredients, weights: Sequence[float]) -> Tensor:
    """Returns sum_i c_i W_i + c_0 W_0 [...], in float32 or wider; weights c_1 ... c_n, then c_0.

    A parent of weight 0 is not read.
    """
    parents, base = ingredients.parents, ingredients.base
    everything = parents if base is None else (*parents, base)
    dtype = accumulation_dtype(everything[0])
    for tensor in everything:
        dtype = torch.promote_types(dtype, tensor.dtype)
    origin = None if base is None else base.to(dtype)
    total = torch.zeros_like(everything[0], dtype=dtype)
    for parent, weight in zip(parents, weights, strict=False):
        if weight != 0.0:
            own = parent.to(dtype)
            total.add_(own if origin is None else own - origin, alpha=weight)
    if origin is None:
        return total
    share = math.fsum(weights)
    # What rounding leaves of a sum that is one by construction must not move the base.
    return total.add_(origin, alpha=1.0 if abs(share - 1.0) < 1e-12 else share)


def around_base(shares: Sequence[float], *, with_base: bool) -> tuple[float, ...]:
    """Returns the weights of W_0 + sum_i s_i d_i, or of sum_i s_i W_i where there is no base."""
    return (*shares, 1.0 - math.fsum(shares)) if with_base else tuple(shares)


def _task_arithmetic(scalars: Scalars) -> tuple[float, ...]:
    weights, factor = scalars.per_parent["weight"], scalars.shared["lambda"]
    if scalars.shared["normalize"] and weights:
        factor /= normalizer(weights)
    return around_base([factor * weight for weight in weights], with_base=True)


TASK_ARITHMETIC = Mixture(_task_arithmetic, "nothing")
