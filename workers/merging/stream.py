"""Follows a merge plan: reads, casts, merges and rounds, one tensor at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces import Parent
from search_spaces.methods import METHODS
from workers.errors import MergeError
from workers.merging import KERNELS, SURVEYS
from workers.merging.kernel import Ingredients
from workers.merging.plan import Input, MergePlan, TensorPlan
from workers.merging.precision import check_finite, is_finite

Read = Callable[[Parent, str], Tensor]
ReadRecord = Callable[[Parent, str, str], Tensor | None]
"""(parent, kind, tensor) -> what a calibration pass recorded, or None."""


def no_records(parent: Parent, kind: str, tensor: str) -> Tensor | None:  # noqa: ARG001 - a ReadRecord
    """Knows of no record."""
    return None


@dataclass(frozen=True, slots=True)
class Sources:
    """Where weights and records come from, and where they are merged."""

    read: Read
    record: ReadRecord = no_records
    device: torch.device | str = "cpu"


@dataclass(frozen=True, slots=True)
class PlannedPortion:
    """A Portion: a tensor's plan, and where its weights come from."""

    plan: TensorPlan
    sources: Sources

    @property
    def name(self) -> str:
        """The merged tensor's name."""
        return self.plan.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.plan.shape

    @property
    def per_parent(self) -> Mapping[str, tuple[float, ...]]:
        """Parameter -> one number per parent."""
        return self.plan.per_parent

    @property
    def shared(self) -> Mapping[str, float]:
        """Parameter -> number."""
        return self.plan.shared

    @property
    def choices(self) -> Mapping[str, str]:
        """Parameter -> word."""
        return self.plan.choices

    def load(self) -> Ingredients:
        """Reads the weights."""
        return load(self.plan, self.sources)


def merged_tensors(
    plan: MergePlan, read: Read, device: torch.device | str = "cpu", *, record: ReadRecord = no_records
) -> Iterator[tuple[str, Tensor]]:
    """Yields the merged model's tensors by name, in the model's order; one is in memory at a time.

    Raises:
        MergeError: A tensor cannot be merged, or comes out with NaN or infinity.
    """
    sources = Sources(read, record, device)
    findings = survey(plan, sources)
    for tensor in plan.tensors:
        yield tensor.name, merge_tensor(tensor, sources, findings)


@torch.no_grad()
def survey(plan: MergePlan, sources: Sources) -> object:
    """Returns what the method must know of the whole model before its first tensor; None for most.

    Raises:
        MergeError: The survey found what cannot be merged.
    """
    portions = [PlannedPortion(tensor, sources) for tensor in plan.tensors if tensor.kernel is not None]
    if not portions:
        return None
    kernel = portions[0].plan.kernel or ""
    return SURVEYS[kernel].look(portions) if kernel in SURVEYS else None


@torch.no_grad()
def merge_tensor(plan: TensorPlan, sources: Sources, findings: object = None) -> Tensor:
    """Returns one tensor of the merged model, of the plan's shape and `out_dtype`.

    It may be a parent's own tensor, unchanged, and must not be written to.

    Raises:
        MergeError: The recipe's numbers give no tensor, or one with NaN or infinity; the message
            names the tensor, and the parent where one is at fault.
    """
    if plan.kernel is None:
        (source,) = plan.inputs
        return sources.read(source.parent, source.tensor).to(sources.device)
    try:
        merged = KERNELS[plan.kernel](load(plan, sources, findings))
    except MergeError as error:
        if error.field == plan.name:
            raise
        raise MergeError(plan.name, f"{error.field}: {error.detail}", error.remedy) from error
    result = merged.to(getattr(torch, str(plan.out_dtype)))
    if not is_finite(result):
        _check_inputs(plan, sources.read)
        raise MergeError(
            plan.name,
            f"the merged values overflow {plan.out_dtype}",
            "use smaller weights, or a wider out_dtype",
        )
    return result


def load(plan: TensorPlan, sources: Sources, findings: object = None) -> Ingredients:
    """Reads what a tensor is made of, in the precision that the plan asks for."""
    kinds = METHODS[plan.kernel].records if plan.kernel is not None else ()

    def recorded(item: Input, kind: str) -> Tensor | None:
        found = sources.record(item.parent, kind, item.tensor)
        return None if found is None else found.to(sources.device)

    return Ingredients(
        parents=tuple(_cast(plan, item, sources) for item in plan.inputs),
        base=_cast(plan, plan.base, sources) if plan.base is not None else None,
        per_parent=plan.per_parent,
        shared=plan.shared,
        choices=plan.choices,
        seeds=plan.seeds,
        name=plan.name,
        records={kind: tuple(recorded(item, kind) for item in plan.inputs) for kind in kinds},
        base_records={kind: recorded(plan.base, kind) for kind in kinds} if plan.base is not None else {},
        findings=findings,
    )


def _cast(plan: TensorPlan, item: Input, sources: Sources) -> Tensor:
    tensor = sources.read(item.parent, item.tensor)
    return tensor.to(device=sources.device, dtype=getattr(torch, plan.dtype) if plan.dtype else tensor.dtype)


def _check_inputs(plan: TensorPlan, read: Read) -> None:
    """Raises for the parent that brought NaN or infinity in, if one did."""
    for item in (*plan.inputs, *([plan.base] if plan.base is not None else [])):
        check_finite(f"{item.tensor} of {item.parent}", read(item.parent, item.tensor))
