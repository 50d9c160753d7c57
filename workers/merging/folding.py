"""Folds input scales into the weights, so that a stacked model is an ordinary one.

`workers.checkpoints.architecture.foldable` says which tensors take them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from operator import mul

import torch
from torch import Tensor

from workers.checkpoints.architecture.foldable import rule_for
from workers.errors import MergeError
from workers.merging.plan import Fold, MergePlan, TensorPlan

_AT_ONCE = 1 << 20


def fold_scales(plan: MergePlan) -> MergePlan:
    """Returns the plan of the model without scales whose logits are the same.

    Raises:
        MergeError: The architecture has no rule, or a layer has nothing to fold a scale into.
    """
    if all(scale == 1.0 for scale in plan.input_scales):
        return plan
    return replace(plan, tensors=tuple(_folded(plan)), input_scales=(1.0,) * plan.layers)


def _folded(plan: MergePlan) -> Iterator[TensorPlan]:
    rule, owner = rule_for(plan.owner.architecture), plan.owner
    cumulative = list(accumulate(plan.input_scales, mul))  # c_t = s_1 ... s_t
    missing = {layer for layer, scale in enumerate(cumulative) if scale != 1.0}
    for tensor in plan.tensors:
        layer = owner.layer_of(tensor.name)
        if layer is None or cumulative[layer] == 1.0:
            yield tensor
            continue
        role = tensor.name[len(owner.layer_prefix) :].split(".", 1)[1]
        if rule.outputs.fullmatch(role) is None:
            yield tensor
            continue
        missing.discard(layer)
        yield replace(tensor, fold=Fold(cumulative[layer], rule.offset))
    if missing:
        detail = f"layer {min(missing)} has no tensor that ends its blocks"
        raise MergeError(
            "input_scale", detail, "use checkpoints whose tensors are named as transformers does"
        )


def fold_into(fold: Fold, merged: Tensor, target: torch.dtype) -> Tensor:
    """Returns (W + offset) / divisor - offset, rounded once: computed in float64, some numbers at a time."""
    result = torch.empty(merged.shape, dtype=target, device=merged.device)
    numbers, folded = merged.reshape(-1), result.view(-1)
    for start in range(0, numbers.numel(), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        folded[part] = (numbers[part].to(torch.float64) + fold.offset) / fold.divisor - fold.offset
    return result
