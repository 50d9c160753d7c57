"""From a tensor's plan to the compiled pass that makes it, where a method has one.

The kernels in `workers.merging.KERNELS` define what comes out; here the same numbers come from fewer
passes over memory, up to the rounding of float32 sums.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from workers.merging.arithmetic.mixtures import Gram, mixture_weights, scalars_of
from workers.merging.fast.applicable import is_mixture, is_sparse
from workers.merging.fast.backends.numba_kernels import in_pairs, pass_over, weighted_sum
from workers.merging.fast.backends.sum_forms import ElectedSum, Form, SumOnto, ThinnedSum
from workers.merging.fast.backends.weighted_sums import add_up, all_finite
from workers.merging.fast.caches import Caches
from workers.merging.fast.held_inputs import Operands, VectorKey
from workers.merging.fast.preparations.prepared_tensors import prepared
from workers.merging.fast.selection.rules import rule_of, some_keys
from workers.merging.fast.selection.selection_masks import Criterion
from workers.merging.fast.statistics.tensor_statistics import TensorStatistics
from workers.merging.fast.storage import Array, as_array
from workers.merging.fast.thinned.addends import find_addends
from workers.merging.fast.threads import Map
from workers.merging.kernel import Ingredients, Mixture
from workers.merging.methods import MIXTURES, PREPARATIONS
from workers.merging.plan import TensorPlan


def merge_with_numba(
    plan: TensorPlan,
    ingredients: Ingredients,
    out: Tensor,
    caches: Caches | None,
    work: Map,
    operands: Operands | None = None,
) -> bool | None:
    """Writes a merged tensor; returns whether it is finite, or None where there is no fast way.

    Args:
        plan: Of the tensor.
        ingredients: Its inputs, at least one and at most `applicable.MOST_INPUTS`, stored as the passes
            read.
        out: Where it goes, as they write.
        caches: What is remembered between candidates.
        work: How to go through its stretches.
        operands: What `operands_of` returned for these inputs and this output.

    Raises:
        MergeError: The recipe's numbers give no tensor.
    """
    if plan.kernel is None:
        return None
    found = operands or operands_of(plan, ingredients, out)
    if plan.kernel == "passthrough":
        return _add_up(found, ingredients.per_parent["scale"], work)
    statistics = TensorStatistics(
        plan=plan, parents=found.parents, base=found.base, caches=caches, work=work, vectors=found.vectors
    )
    if is_mixture(plan):
        return _add_up(found, _weights(MIXTURES[plan.kernel], ingredients, statistics), work)
    if plan.kernel in PREPARATIONS and caches is not None and ingredients.base is not None:
        made = PREPARATIONS[plan.kernel].finish(ingredients, prepared(plan, ingredients, caches))
        return _sum_prepared(PREPARATIONS[plan.kernel].coefficients(ingredients), made, found, work)
    if is_sparse(plan):
        return _add_thinned(ingredients, plan.kernel, statistics, found)
    return None


def operands_of(plan: TensorPlan, ingredients: Ingredients, out: Tensor) -> Operands:
    """Returns a tensor's inputs, at least one, and its memory, as compiled passes want them."""
    tensors = ingredients.parents if ingredients.base is None else (*ingredients.parents, ingredients.base)
    parents = tuple(as_array(parent) for parent in ingredients.parents)
    base = as_array(tensors[0])[:0] if ingredients.base is None else as_array(ingredients.base)
    written = as_array(out)
    paired_out, paired_base, *paired = in_pairs((written, base, *parents))
    vectors = tuple(VectorKey(item, plan.base, plan.dtype) for item in plan.inputs)
    places = tuple(array.ctypes.data for array in (written, *parents))
    return Operands(parents, base, written, tuple(paired), paired_base, paired_out, vectors, places)


def gram_of(plan: TensorPlan, mixture: Mixture, operands: Operands, caches: Caches | None, work: Map) -> Gram:
    """Returns the inner products that a mixture asks for; [0, 0] where it asks for none."""
    parents, base, vectors = operands.parents, operands.base, operands.vectors
    statistics = TensorStatistics(
        plan=plan, parents=parents, base=base, caches=caches, work=work, vectors=vectors
    )
    return _gram(mixture, statistics)


def _gram(mixture: Mixture, statistics: TensorStatistics) -> Gram:
    if mixture.products_of == "nothing":
        return np.zeros((0, 0))
    of_inputs = mixture.products_of == "inputs"
    return statistics.gram(with_base=of_inputs, around_base=not of_inputs)


def _weights(mixture: Mixture, ingredients: Ingredients, statistics: TensorStatistics) -> tuple[float, ...]:
    """Returns weights that follow from inner products."""
    return mixture_weights(mixture, scalars_of(ingredients, _gram(mixture, statistics)))


def _add_up(found: Operands, weights: tuple[float, ...], work: Map) -> bool:
    paired = (found.paired_out, found.paired_parents, found.paired_base)
    return add_up(weighted_sum, *paired, weights, work, len(found.out))


def _sum_prepared(
    coefficients: tuple[float, ...], made: tuple[Tensor, ...], found: Operands, work: Map
) -> bool:
    """Writes W_0 + sum_j c_j E_j."""
    arrays = tuple(as_array(tensor) for tensor in made)
    factors = np.array(coefficients, np.float32)
    if not arrays:  # the compiled pass wants at least one
        arrays, factors = (np.zeros(len(found.out), np.float32),), np.zeros(1, np.float32)
    run = pass_over(found.out, SumOnto(found.base, arrays, factors))
    return all_finite(run, len(found.out), work)


def _add_thinned(
    ingredients: Ingredients, kernel: str, statistics: TensorStatistics, found: Operands
) -> bool:
    """Writes what a method makes of thinned task vectors; returns whether it is finite.

    Raises:
        MergeError: The method cannot work with the recipe's numbers.
    """
    addends = find_addends(ingredients, kernel, statistics)
    count, factors = len(found.out), addends.factors
    out, base = found.paired_out, found.paired_base
    inputs = tuple(found.paired_parents[number] for number in addends.numbers) or (base,)
    keys: list[Array] = []
    if addends.criterion is Criterion.BY_KEY:
        keys = some_keys(addends.masks)
        out, base, *others = in_pairs((found.out, found.base, *addends.parents, *keys))
        inputs, keys = tuple(others[: len(inputs)]), others[len(inputs) :]
    rule, ends = rule_of(addends.criterion, addends.masks, count, keys)
    form: Form = ThinnedSum(base, inputs, rule, factors, addends.factor)
    if addends.election is not None:
        form = ElectedSum(base, inputs, rule, factors, addends.factor, addends.weights, *addends.election)
    return all_finite(pass_over(out, form, ends), count, statistics.work)
