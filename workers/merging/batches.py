"""Batches: small tensors of a live model that are weighted sums, merged in one pass.

What a batch saves is the way to each tensor: its inputs are held since the last candidate, so that only
weights have to be found.  The tensors are those of `stream.merge_into`, bit for bit.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.errors import MergeError
from workers.merging.arithmetic.mixtures import mixture_weights
from workers.merging.fast.applicable import is_mixture
from workers.merging.fast.caches import Caches
from workers.merging.fast.held_inputs import HeldInputs
from workers.merging.fast.threads import Map
from workers.merging.kernel import Scalars
from workers.merging.methods import MIXTURES
from workers.merging.plan import TensorPlan
from workers.merging.stream import Sources, check_merged, named_error


@dataclass(frozen=True, slots=True, eq=False)
class BatchedTensor:
    """A tensor that can be merged with others.

    Attributes:
        plan: Of the tensor.
        held: Its inputs, with operands.
    """

    plan: TensorPlan
    held: HeldInputs


def batched(
    target: Tensor, plan: TensorPlan, held: HeldInputs | None, sources: Sources
) -> BatchedTensor | None:
    """Returns a tensor as a batch wants it, or None where it must be merged alone.

    Args:
        target: Where it goes.
        plan: Of the tensor.
        held: What was returned of the last candidate's tensor in the same target.
        sources: Of the weights.
    """
    if held is None or held.operands is None or plan.fold is not None or not held.operands.alone_in_pairs:
        return None
    known = is_mixture(plan) and held.serve(plan, sources)
    if not known or target.dtype != getattr(torch, str(plan.out_dtype)):
        return None
    return BatchedTensor(plan, held)


def get_ready(made: Iterable[tuple[Tensor, TensorPlan, HeldInputs | None]], sources: Sources) -> None:
    """Loads what the next candidate's batch will want, so that the first candidate alone waits for it.

    Args:
        made: Tensors that were merged alone just now: where to, of which plan, and what was held of them.
        sources: Of the weights.
    """
    found = (batched(target, plan, held, sources) for target, plan, held in made)
    counts = {len(one.held.operands.places) - 1 for one in found if one and one.held.operands is not None}
    if counts:
        from workers.merging.fast.backends.batched_sums import compile_for

        for parents in sorted(counts):
            compile_for(parents)


def merge_batch(
    batch: Sequence[BatchedTensor], sources: Sources, findings: object, caches: Caches | None, work: Map
) -> None:
    """Writes several tensors of the merged model in place.

    Args:
        batch: The tensors.
        sources: Of the weights.
        findings: What the survey found.
        caches: What is remembered between candidates.
        work: How to go through portions of the batch.

    Raises:
        MergeError: As `stream.merge_into`; the targets hold no usable numbers then.
    """
    from workers.merging.fast.backends.batched_sums import BatchedSum, add_up_together, batched_sum

    said: dict[Hashable, tuple[float, ...]] = {}
    by_count: dict[int, list[tuple[TensorPlan, BatchedSum]]] = {}
    for one in batch:
        if one.held.operands is not None:
            weights = _weights(one, findings, caches, work, said)
            found = batched_sum(one.held.operands, weights)
            by_count.setdefault(len(found.weights), []).append((one.plan, found))
    for several in by_count.values():
        finite = add_up_together([one for _, one in several], work)
        for (plan, _), well in zip(several, finite, strict=True):
            check_merged(plan, sources, finite=well)


def _weights(
    one: BatchedTensor,
    findings: object,
    caches: Caches | None,
    work: Map,
    said: dict[Hashable, tuple[float, ...]],
) -> tuple[float, ...]:
    """Returns a tensor's weights; `said` knows those that follow from the recipe's numbers alone."""
    plan, held = one.plan, one.held
    mixture = MIXTURES[plan.kernel or ""]
    numbers = None
    if mixture.products_of == "nothing":
        numbers = plan.kernel, *plan.per_parent.values(), *plan.shared.values(), *plan.choices.values()
        if numbers in said:
            return said[numbers]
    if mixture.products_of not in held.grams and held.operands is not None:
        from workers.merging.fast.backends.numba_backend import gram_of

        held.grams[mixture.products_of] = gram_of(plan, mixture, held.operands, caches, work)
    scalars = Scalars(
        per_parent=plan.per_parent,
        shared=plan.shared,
        choices=plan.choices,
        gram=held.grams[mixture.products_of],
        with_base=False,
        size=held.parents[0].numel(),
        findings=findings,
    )
    try:
        weights = mixture_weights(mixture, scalars)
    except MergeError as error:
        raise named_error(plan, error) from error
    if numbers is not None:
        said[numbers] = weights
    return weights
