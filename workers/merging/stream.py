"""Follows a merge plan: reads, casts, merges and rounds, one tensor at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from search_spaces import Parent
from workers.errors import MergeError
from workers.merging import KERNELS
from workers.merging.kernel import Ingredients
from workers.merging.plan import Input, MergePlan, TensorPlan
from workers.merging.precision import check_finite, is_finite

Read = Callable[[Parent, str], Tensor]


def merged_tensors(
    plan: MergePlan, read: Read, device: torch.device | str = "cpu"
) -> Iterator[tuple[str, Tensor]]:
    """Yields the merged model's tensors by name, in the model's order; one is in memory at a time.

    Raises:
        MergeError: A tensor cannot be merged, or comes out with NaN or infinity.
    """
    for tensor in plan.tensors:
        yield tensor.name, merge_tensor(tensor, read, device)


@torch.no_grad()
def merge_tensor(plan: TensorPlan, read: Read, device: torch.device | str = "cpu") -> Tensor:
    """Returns one tensor of the merged model, of the plan's shape and `out_dtype`.

    It may be a parent's own tensor, unchanged, and must not be written to.

    Raises:
        MergeError: The recipe's numbers give no tensor, or one with NaN or infinity; the message
            names the tensor, and the parent where one is at fault.
    """
    if plan.kernel is None:
        (source,) = plan.inputs
        return read(source.parent, source.tensor).to(device)
    parents = tuple(_load(plan, item, read, device) for item in plan.inputs)
    base = _load(plan, plan.base, read, device) if plan.base is not None else None
    ingredients = Ingredients(parents, base, plan.per_parent, plan.shared, plan.seeds)
    try:
        merged = KERNELS[plan.kernel](ingredients)
    except MergeError as error:
        raise MergeError(plan.name, f"{error.field}: {error.detail}", error.remedy) from error
    result = merged.to(getattr(torch, str(plan.out_dtype)))
    if not is_finite(result):
        _check_inputs(plan, read)
        raise MergeError(
            plan.name,
            f"the merged values overflow {plan.out_dtype}",
            "use smaller weights, or a wider out_dtype",
        )
    return result


def _load(plan: TensorPlan, item: Input, read: Read, device: torch.device | str) -> Tensor:
    tensor = read(item.parent, item.tensor)
    return tensor.to(device=device, dtype=getattr(torch, plan.dtype) if plan.dtype else tensor.dtype)


def _check_inputs(plan: TensorPlan, read: Read) -> None:
    """Raises for the parent that brought NaN or infinity in, if one did."""
    for item in (*plan.inputs, *([plan.base] if plan.base is not None else [])):
        check_finite(f"{item.tensor} of {item.parent}", read(item.parent, item.tensor))
