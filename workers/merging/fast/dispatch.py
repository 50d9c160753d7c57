"""Which way a tensor is merged fast: by the compiled passes, or while they are not loaded by numpy.

The compiler is imported here and late, because a small merge does without it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from torch import Tensor

from workers.merging.fast.applicable import MOST_INPUTS, has_fast_way, is_summed
from workers.merging.fast.backends.numpy_backend import MOST_ENTRIES, merge_with_numpy
from workers.merging.fast.caches import Caches
from workers.merging.fast.held_inputs import HeldInputs
from workers.merging.fast.storage import is_stored
from workers.merging.fast.threads import Map
from workers.merging.kernel import Ingredients
from workers.merging.plan import TensorPlan

_ENGINE = "workers.merging.fast.backends.numba_backend"


def merge_fast(
    plan: TensorPlan,
    ingredients: Ingredients,
    out: Tensor,
    caches: Caches | None,
    work: Map,
    held: HeldInputs | None = None,
) -> bool | None:
    """Writes a merged tensor; returns whether it is finite, or None where there is no fast way.

    Args:
        plan: Of the tensor.
        ingredients: Its inputs.
        out: Where it goes, of the plan's `out_dtype`.
        caches: What is remembered between candidates; None where there is but one.
        work: How to go through its stretches.
        held: The same inputs, and what is known of them since the last candidate.

    Raises:
        MergeError: The recipe's numbers give no tensor.
    """
    if held is not None and held.operands is not None:
        from workers.merging.fast.backends.numba_backend import merge_with_numba

        return merge_with_numba(plan, ingredients, out, caches, work, held.operands)
    tensors = ingredients.parents if ingredients.base is None else (*ingredients.parents, ingredients.base)
    if plan.kernel is None or not out.numel() or not tensors:
        return None
    readable = len(tensors) <= MOST_INPUTS and is_stored(*tensors, like=out)
    if caches is None and not (readable and has_fast_way(plan)):
        return None  # nothing is worth finding out for one candidate
    if caches is None and not _needs_loops(plan) and _ENGINE not in sys.modules:
        return merge_with_numpy(plan.kernel, ingredients, out)
    from workers.merging.fast.backends.numba_backend import merge_with_numba, operands_of
    from workers.merging.fast.backends.torch_backend import merge_with_torch

    if readable:
        operands = operands_of(plan, ingredients, out)
        if held is not None:
            held.operands = operands
        return merge_with_numba(plan, ingredients, out, caches, work, operands)
    return merge_with_torch(plan, ingredients, out, caches)


def load_kernels(plans: Sequence[TensorPlan]) -> None:
    """Loads the compiled loops, if one of these tensors will want them."""
    if any(has_fast_way(plan) and _needs_loops(plan) for plan in plans):
        import workers.merging.fast.backends.numba_backend  # noqa: F401


def _needs_loops(plan: TensorPlan) -> bool:
    """Says whether numpy would not do."""
    return not is_summed(plan) or math.prod(plan.shape) > MOST_ENTRIES
