"""The same economy with torch's own operations: on a GPU, and for formats that the loops do not read.

What an experiment need do once is remembered: inner products, prepared tensors, magnitudes by rank,
keys.  A candidate is then one function of `fused.py`, which is one kernel on a GPU, and elsewhere goes
chunk by chunk.  Methods without a way here take their kernel's, which runs on any device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from workers.merging.arithmetic.mixtures import Gram, gram_of, mixture_weights, scalars_of
from workers.merging.arithmetic.precision import accumulation_dtype, is_finite
from workers.merging.fast.applicable import is_mixture, is_sparse
from workers.merging.fast.backends.torch_kernels import add_thinned, add_up, fused, length_at_once
from workers.merging.fast.caches import Caches
from workers.merging.fast.preparations.prepared_tensors import prepared
from workers.merging.fast.selection.rules import some_keys
from workers.merging.fast.selection.selection_masks import Criterion, SelectionMask
from workers.merging.fast.statistics.device_statistics import DeviceStatistics
from workers.merging.fast.thinned.addends import find_addends
from workers.merging.fast.threads import one_by_one
from workers.merging.kernel import Ingredients
from workers.merging.methods import MIXTURES, PREPARATIONS
from workers.merging.plan import TensorPlan


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
    if is_sparse(plan) and ingredients.base is not None and _is_narrow(ingredients, out):
        return _add_thinned(plan, ingredients, ingredients.base, out, caches)
    return None


def _is_narrow(ingredients: Ingredients, out: Tensor) -> bool:
    """Says whether float32 is wide enough for all that goes in and comes out."""
    tensors = (*ingredients.parents, ingredients.base, out)
    return all(tensor is None or accumulation_dtype(tensor) == torch.float32 for tensor in tensors)


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
    dtype = torch.float32
    for tensor in inputs if base is None else (*inputs, base):
        dtype = torch.promote_types(dtype, accumulation_dtype(tensor))
    taking_part = [(x.reshape(-1), c) for x, c in zip(inputs, factors, strict=False) if c != 0.0]
    flat_out, flat_base = out.view(-1), None if base is None else base.reshape(-1)
    numbers = torch.tensor([c for _, c in taking_part], dtype=dtype, device=out.device)
    # What rounding leaves of a sum that is one by construction must not move the base.
    share = 1.0 if abs(of_base - 1.0) < 1e-12 else of_base
    own_share = torch.tensor(share, dtype=dtype, device=out.device)
    run, length = fused(add_up, out.device), length_at_once(out.device, out.numel())
    for start in range(0, out.numel(), length):
        part = slice(start, start + length)
        origin = None if flat_base is None else flat_base[part]
        run(flat_out[part], origin, own_share, [x[part] for x, _ in taking_part], numbers, around)
    return is_finite(out)


def _add_thinned(
    plan: TensorPlan, ingredients: Ingredients, base: Tensor, out: Tensor, caches: Caches
) -> bool:
    """Writes what a method makes of thinned task vectors."""
    parents = tuple(parent.reshape(-1) for parent in ingredients.parents)
    statistics = DeviceStatistics(
        plan=plan, parents=parents, base=base.reshape(-1), caches=caches, work=one_by_one
    )
    addends = find_addends(ingredients, plan.kernel or "", statistics)
    first = (0, 0, 0, 0)
    rules = torch.tensor(
        [*(_rule(kept, addends.criterion) for kept in addends.masks), first], dtype=torch.int64
    )
    last = (float(addends.factor), *(float(x) for x in addends.election or (0.0, 0.0)))
    pairs = zip(addends.factors, addends.weights, strict=True)
    numbers = torch.tensor([*((float(f), float(w), 0.0) for f, w in pairs), last], dtype=torch.float32)
    rules, numbers = rules.to(out.device), numbers.to(out.device)
    keys = addends.parents
    if addends.criterion is Criterion.BY_KEY:
        keys = tuple(some_keys(addends.masks))
    run, length = fused(add_thinned, out.device), length_at_once(out.device, out.numel())
    flat_out, electing = out.view(-1), addends.election is not None
    for start in range(0, out.numel(), length):
        part = slice(start, start + length)
        rules[-1, 0] = start
        cut = [[tensor[part] for tensor in several] for several in (addends.parents, keys)]
        run(flat_out[part], statistics.base[part], *cut, rules, numbers, addends.criterion.value, electing)
    return is_finite(out)


def _rule(kept: SelectionMask, criterion: Criterion) -> tuple[int, int, int, int]:
    """Returns what `torch_kernels.add_thinned` wants to know of a task vector."""
    if criterion is Criterion.BY_MAGNITUDE:
        return (*kept.least, *kept.most)
    if criterion is Criterion.AT_RANDOM:
        return (*kept.seed, kept.code, 0)
    return (kept.code, 0, 0, 0)
