"""TALL-masks and Consensus merging: only entries that matter to several parents are kept.

Wang et al., "Localizing Task Information for Improved Model Merging and Compression", arXiv 2405.07813.
With d_i the task vectors and tau the merged one:

    tau = sum_i d_i                                       `multi: ta`
    tau = TIES of the d_i, trimmed globally, sums         `multi: ties` (Yadav et al., arXiv 2306.01708)
    m_i = 1[ |d_i| > mask_lambda_i |tau - d_i| ]          where the entry matters to parent i
    W   = W_0 + lambda 1[ sum_i m_i >= k ] tau            consensus
    W   = W_0 + lambda m_t tau                            tall_mask: parent t, made again from tau

W_0, d_i, tau, m_i [...] of one shape.  k = 0 keeps all of tau, k = 1 drops what matters to no parent, k = 2
also what matters to one alone; a k above the number of parents gives the base.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.errors import MergeError
from workers.merging.arithmetic.whole_model import (
    check_same_everywhere,
    chunks_of_all,
    entrywise,
    summed,
    surveyed,
)
from workers.merging.kernel import Ingredients, Portion, Survey
from workers.merging.thinning.order_statistics import largest_of_several
from workers.merging.thinning.sparsify import share_of


@dataclass(frozen=True, slots=True)
class Trim:
    """What the TIES inside needs to know of the whole model.

    Attributes:
        thresholds: Per parent, the least magnitude that is kept.
        majority: The sign (-1, 0, 1) that most entries have; entries whose sum is zero take it.
    """

    thresholds: tuple[float, ...]
    majority: float


def consensus(ingredients: Ingredients) -> Tensor:
    """Returns the base plus those entries of the merged task vector that matter to at least k parents.

    Raises:
        MergeError: k is no whole number.
    """
    fewest = ingredients.shared["k"]
    if fewest != int(fewest):
        raise MergeError("k", f"{fewest:g} parents cannot agree", "use a whole number of parents")
    strictnesses = ingredients.per_parent["mask_lambda"]

    def agreed(deltas: Tensor) -> Tensor:
        merged = _multi_task_vector(ingredients, deltas)
        votes = torch.zeros_like(merged)
        for delta, strictness in zip(deltas, strictnesses, strict=True):
            votes += _matters(delta, merged, strictness)
        return _where(votes >= fewest, merged)

    return entrywise(ingredients, agreed)


def tall_mask(ingredients: Ingredients) -> Tensor:
    """Returns the base plus those entries of the merged task vector that matter to one parent.

    Raises:
        MergeError: There is no such parent.
    """
    count, task = len(ingredients.parents), ingredients.shared["task"]
    if task != int(task) or not 1 <= task <= max(count, 1):
        raise MergeError("task", f"{task:g} is the number of no parent", f"use 1 to {max(count, 1)}")

    def own(deltas: Tensor) -> Tensor:
        merged, chosen = _multi_task_vector(ingredients, deltas), int(task) - 1
        return _where(_matters(deltas[chosen], merged, ingredients.per_parent["mask_lambda"][chosen]), merged)

    return entrywise(ingredients, own)


def _look(portions: Sequence[Portion]) -> Trim | None:
    """Finds the thresholds of the TIES inside, and the sign of the majority; four passes at most."""
    trimmed = [portion for portion in portions if portion.choices["multi"] == "ties"]
    if not trimmed:
        return None
    check_same_everywhere(trimmed, ("density",))
    density = trimmed[0].shared["density"]
    sizes = _entries(trimmed)
    ranks = [(min(share_of(size, density), size - 1),) if size else () for size in sizes]
    found = largest_of_several(
        lambda: ((i, row) for chunk in chunks_of_all(trimmed) for i, row in enumerate(chunk)), ranks
    )
    thresholds = tuple(values[0] if values else math.inf for values in found)
    balance = 0
    for chunk in chunks_of_all(trimmed):
        balance += int(summed(_kept(chunk, thresholds)).sign().sum(dtype=torch.float64))
    return Trim(thresholds, float((balance > 0) - (balance < 0)))


CONSENSUS_SURVEY = Survey(_look, ("multi", "density"))


def _entries(portions: Sequence[Portion]) -> list[int]:
    """Returns how many entries each parent's task vector has in all tensors together."""
    sizes = [0] * max(len(portion.per_parent["mask_lambda"]) for portion in portions)
    for portion in portions:
        for i in range(len(portion.per_parent["mask_lambda"])):
            sizes[i] += math.prod(portion.shape)
    return sizes


def _multi_task_vector(ingredients: Ingredients, deltas: Tensor) -> Tensor:
    """Returns tau [N] of the task vectors [P, N]."""
    if ingredients.choices["multi"] == "ta":
        return summed(deltas)
    trim = surveyed(ingredients, Trim)
    kept_PN = _kept(deltas, trim.thresholds)
    total = summed(kept_PN)
    sign = total.sign()
    sign = torch.where(sign == 0, trim.majority, sign)
    agreeing = (kept_PN.sign() == sign) & (sign != 0)
    # A broken number has no sign, and must not be voted away.
    return summed(torch.where(agreeing | ~torch.isfinite(kept_PN), kept_PN, 0.0))


def _kept(deltas: Tensor, thresholds: Sequence[float]) -> Tensor:
    """Returns the task vectors [P, N] without what is smaller than the parent's threshold."""
    least_P = torch.tensor(thresholds[: len(deltas)], dtype=deltas.dtype, device=deltas.device)
    return deltas.masked_fill(deltas.abs() < least_P[:, None], 0.0)


def _matters(delta: Tensor, merged: Tensor, strictness: float) -> Tensor:
    """Returns where an entry is more the parent's own than the others'."""
    return delta.abs() > (merged - delta).abs().mul_(strictness)


def _where(mask: Tensor, merged: Tensor) -> Tensor:
    """Returns the merged task vector where the mask is, and what is broken in it."""
    return torch.where(mask | ~torch.isfinite(merged), merged, 0.0)
