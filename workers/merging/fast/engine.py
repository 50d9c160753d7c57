"""From a tensor's plan to the compiled pass that makes it, where a method has one.

The kernels in `workers.merging.KERNELS` define what comes out; here the same numbers come from fewer
passes over memory, up to the rounding of float32 sums.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from workers.merging.arithmetic.mixtures import mixture_weights, scalars_of
from workers.merging.fast import passes
from workers.merging.fast.applicable import is_mixture, is_sparse
from workers.merging.fast.caches import Caches
from workers.merging.fast.facts import Facts
from workers.merging.fast.sparse import merge_sparse
from workers.merging.fast.storage import Array, as_array
from workers.merging.fast.sums import add_up
from workers.merging.fast.threads import STRETCH, Map, stretches
from workers.merging.fast.with_torch import prepared
from workers.merging.kernel import Ingredients, Mixture
from workers.merging.methods import MIXTURES, PREPARATIONS
from workers.merging.plan import TensorPlan


def merge_with_loops(
    plan: TensorPlan, ingredients: Ingredients, out: Tensor, caches: Caches | None, work: Map
) -> bool | None:
    """Writes a merged tensor; returns whether it is finite, or None where there is no fast way.

    Args:
        plan: Of the tensor.
        ingredients: Its inputs, at least one and at most `applicable.MOST_INPUTS`, stored as the passes
            read.
        out: Where it goes, as they write.
        caches: What is remembered between candidates.
        work: How to go through its stretches.

    Raises:
        MergeError: The recipe's numbers give no tensor.
    """
    tensors = ingredients.parents if ingredients.base is None else (*ingredients.parents, ingredients.base)
    if plan.kernel is None:
        return None
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
        return _add_up(facts, as_array(out), ingredients.per_parent["scale"])
    if plan.kernel in PREPARATIONS and caches is not None and ingredients.base is not None:
        made = PREPARATIONS[plan.kernel].finish(ingredients, prepared(plan, ingredients, caches))
        return _sum_prepared(PREPARATIONS[plan.kernel].coefficients(ingredients), made, facts, as_array(out))
    if is_sparse(plan):
        return merge_sparse(ingredients, plan.kernel, facts, as_array(out))
    return None


def _mix(mixture: Mixture, ingredients: Ingredients, facts: Facts, out: Array) -> bool:
    """Writes a weighted sum whose weights follow from inner products."""
    gram = np.zeros((0, 0))
    if mixture.products_of != "nothing":
        of_inputs = mixture.products_of == "inputs"
        gram = facts.gram(with_base=of_inputs, around_base=not of_inputs)
    weights = mixture_weights(mixture, scalars_of(ingredients, gram))
    return _add_up(facts, out, weights)


def _add_up(facts: Facts, out: Array, weights: tuple[float, ...]) -> bool:
    return add_up(passes, out, facts.parents, facts.base, weights, facts.work)


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
        return passes.weighted_sum_onto(out[start:stop], facts.base[start:stop], stretch, factors)

    return not any(facts.work(part, stretches(len(out))))
