"""From a tensor's plan to the pass that makes it: the fast way, where a method has one.

The kernels in `workers.merging.KERNELS` define what comes out; here the same numbers come from fewer
passes over memory, up to the rounding of float32 sums.
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from workers.merging import MIXTURES, PREPARATIONS
from workers.merging.fast.caches import Caches
from workers.merging.fast.facts import Facts
from workers.merging.fast.passes import (
    MOST_INPUTS,
    weighted_differences,
    weighted_sum,
    weighted_sum_onto,
)
from workers.merging.fast.sparse import is_sparse, merge_sparse
from workers.merging.fast.storage import Array, as_array, is_stored
from workers.merging.fast.threads import STRETCH, Map, stretches
from workers.merging.fast.with_torch import is_mixture, merge_with_torch, prepared
from workers.merging.kernel import Ingredients, Mixture
from workers.merging.mixtures import mixture_weights, scalars_of
from workers.merging.plan import TensorPlan


def merge_fast(
    plan: TensorPlan, ingredients: Ingredients, out: Tensor, caches: Caches | None, work: Map
) -> bool | None:
    """Writes a merged tensor; returns whether it is finite, or None where there is no fast way.

    Args:
        plan: Of the tensor.
        ingredients: Its inputs, on the CPU.
        out: Where it goes, of the plan's `out_dtype`.
        caches: What is remembered between candidates.
        work: How to go through its stretches.

    Raises:
        MergeError: The recipe's numbers give no tensor.
    """
    tensors = ingredients.parents if ingredients.base is None else (*ingredients.parents, ingredients.base)
    if plan.kernel is None or not out.numel() or not tensors:
        return None
    if len(tensors) > MOST_INPUTS or not is_stored(*tensors, like=out):
        return merge_with_torch(plan, ingredients, out, caches)
    facts = Facts(
        plan=plan,
        parents=tuple(as_array(parent) for parent in ingredients.parents),
        base=as_array(tensors[0])[:0] if ingredients.base is None else as_array(ingredients.base),
        caches=caches,
        work=work,
    )
    if is_mixture(plan):
        return _mix(MIXTURES[plan.kernel], ingredients, facts, as_array(out))
    if plan.kernel == "passthrough":
        return _sum(facts, as_array(out), ingredients.per_parent["scale"])
    if plan.kernel in PREPARATIONS and caches is not None and ingredients.base is not None:
        made = PREPARATIONS[plan.kernel].finish(ingredients, prepared(plan, ingredients, caches))
        return _sum_prepared(PREPARATIONS[plan.kernel].coefficients(ingredients), made, facts, as_array(out))
    if is_sparse(plan):
        return merge_sparse(ingredients, plan.kernel, facts, as_array(out))
    return None


def has_fast_way(plan: TensorPlan) -> bool:
    """Says whether the compiled passes alone can make a tensor, if its inputs are stored as they read."""
    return is_mixture(plan) or is_sparse(plan) or plan.kernel == "passthrough"


def _mix(mixture: Mixture, ingredients: Ingredients, facts: Facts, out: Array) -> bool:
    """Writes a weighted sum whose weights follow from inner products."""
    gram = np.zeros((0, 0))
    if mixture.products_of != "nothing":
        of_inputs = mixture.products_of == "inputs"
        gram = facts.gram(with_base=of_inputs, around_base=not of_inputs)
    weights = mixture_weights(mixture, scalars_of(ingredients, gram))
    return _sum(facts, out, weights)


def _sum(facts: Facts, out: Array, weights: tuple[float, ...]) -> bool:
    """Writes sum_i c_i W_i + c_0 W_0, as `mixtures.weighted_sum` does; a parent of weight 0 is not read."""
    taking_part = [number for number in range(len(facts.parents)) if weights[number] != 0.0]
    inputs = tuple(facts.parents[number] for number in taking_part)
    factors = np.array([weights[number] for number in taking_part], np.float32)
    of_base = 0.0
    if len(facts.base):
        share = math.fsum(weights)
        # What rounding leaves of a sum that is one by construction must not move the base.
        of_base = 1.0 if abs(share - 1.0) < 1e-12 else share
    if not inputs:  # the compiled pass wants at least one
        inputs, factors = (facts.parents[0] if facts.parents else facts.base,), np.zeros(1, np.float32)

    def part(start: int) -> np.uint32:
        stop = start + STRETCH
        stretch = tuple(one[start:stop] for one in inputs)
        if len(facts.base):
            base = facts.base[start:stop]
            return weighted_differences(out[start:stop], base, np.float32(of_base), stretch, factors)
        return weighted_sum(out[start:stop], stretch, factors)

    return not any(facts.work(part, stretches(len(out))))


def _sum_prepared(
    coefficients: tuple[float, ...], made: tuple[Tensor, ...], facts: Facts, out: Array
) -> bool:
    """Writes W_0 + sum_j c_j E_j."""
    arrays = tuple(as_array(tensor) for tensor in made)
    factors = np.array(coefficients, np.float32)
    if not arrays:  # the compiled pass wants at least one
        arrays, factors = (np.zeros(len(out), np.float32),), np.zeros(1, np.float32)

    def part(start: int) -> np.uint32:
        stop = start + STRETCH
        stretch = tuple(array[start:stop] for array in arrays)
        return weighted_sum_onto(out[start:stop], facts.base[start:stop], stretch, factors)

    return not any(facts.work(part, stretches(len(out))))
