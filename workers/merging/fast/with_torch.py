"""The same economy with torch's own operations: on a GPU, and for formats that the loops do not read.

Only what an experiment need do once is spared here: inner products and prepared tensors.  The sums go
chunk by chunk, so that no float32 copy of a whole tensor is made.  Methods without a way here take
their kernel's, which runs on any device.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from workers.merging import MIXTURES, PREPARATIONS, SURVEYS
from workers.merging.fast.caches import Caches
from workers.merging.kernel import Ingredients
from workers.merging.mixtures import Gram, gram_of, mixture_weights, scalars_of
from workers.merging.plan import TensorPlan
from workers.merging.precision import accumulation_dtype, chunk_length, is_finite


def merge_with_torch(
    plan: TensorPlan, ingredients: Ingredients, out: Tensor, caches: Caches | None
) -> bool | None:
    """Writes a merged tensor; returns whether it is finite, or None where only the kernel can make it.

    Raises:
        MergeError: The recipe's numbers give no tensor.
    """
    kernel = plan.kernel
    if caches is None or kernel is None:
        return None
    if is_mixture(plan):
        mixture = MIXTURES[kernel]
        gram: Gram = caches.remembered(
            ("gram", kernel, plan.inputs, plan.base, plan.dtype), lambda: gram_of(mixture, ingredients)
        )
        weights = mixture_weights(mixture, scalars_of(ingredients, gram))
        return _add_up(out, ingredients.base, math.fsum(weights), ingredients.parents, weights, around=True)
    if kernel in PREPARATIONS and ingredients.base is not None:
        made = PREPARATIONS[kernel].finish(ingredients, prepared(plan, ingredients, caches))
        factors = PREPARATIONS[kernel].coefficients(ingredients)
        return _add_up(out, ingredients.base, 1.0, made, factors, around=False)
    return None


def is_mixture(plan: TensorPlan) -> bool:
    """Says whether a tensor is a weighted sum of its inputs once inner products are known."""
    mixture = MIXTURES.get(plan.kernel or "")
    return mixture is not None and mixture.applies(plan.choices, plan.shared)


def prepared(plan: TensorPlan, ingredients: Ingredients, caches: Caches) -> tuple[Tensor, ...]:
    """Returns the tensors that a method prepares, float32; candidates that agree in them share them."""
    kernel = plan.kernel or ""
    preparation = PREPARATIONS[kernel]
    depends_on = (*preparation.depends_on, *(SURVEYS[kernel].depends_on if kernel in SURVEYS else ()))
    key = ("prepared", kernel, plan.name, plan.inputs, plan.base, plan.dtype, values_of(plan, depends_on))
    return caches.remembered(
        key,
        lambda: tuple(tensor.to(torch.float32).contiguous() for tensor in preparation.make(ingredients)),
        lambda made: sum(tensor.nbytes for tensor in made),
    )


def values_of(plan: TensorPlan, names: Sequence[str]) -> tuple[Hashable, ...]:
    """Returns the values of these parameters in a tensor's plan."""
    tables = (plan.per_parent, plan.shared, plan.choices)
    return tuple(table[name] for name in names for table in tables if name in table)


def _add_up(
    out: Tensor,
    base: Tensor | None,
    of_base: float,
    inputs: Sequence[Tensor],
    factors: Sequence[float],
    *,
    around: bool,
) -> bool:
    """Writes of_base W_0 + sum_i c_i X_i, or with `around` of_base W_0 + sum_i c_i (X_i - W_0)."""
    tensors = inputs if base is None else (*inputs, base)
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, accumulation_dtype(tensor))
    flat, flat_out = [tensor.reshape(-1) for tensor in inputs], out.view(-1)
    flat_base = None if base is None else base.reshape(-1)
    length, finite = chunk_length(out.device), True
    of_base = 1.0 if abs(of_base - 1.0) < 1e-12 else of_base
    for start in range(0, out.numel(), length):
        part = slice(start, start + length)
        origin = None if flat_base is None else flat_base[part].to(dtype)
        total = torch.zeros(flat_out[part].shape, dtype=dtype, device=out.device)
        for tensor, factor in zip(flat, factors, strict=False):
            if factor != 0.0:
                own = tensor[part].to(dtype)
                total.add_(own - origin if around and origin is not None else own, alpha=factor)
        if origin is not None:
            total.add_(origin, alpha=of_base)
        flat_out[part] = total.to(out.dtype)
        finite = finite and is_finite(flat_out[part])
    return finite
