"""Follows a merge plan: reads, casts, merges and rounds, one tensor at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from search_spaces import Parent
from search_spaces.catalogue.methods import METHODS
from workers.errors import MergeError
from workers.merging.arithmetic.precision import check_finite, is_finite
from workers.merging.arithmetic.recorded import missing_record
from workers.merging.fast.caches import Caches
from workers.merging.fast.dispatch import merge_fast
from workers.merging.fast.held_inputs import HeldInputs
from workers.merging.fast.preparations.countdown import Countdown
from workers.merging.fast.preparations.prepared_tensors import prepared, side_by_side
from workers.merging.fast.threads import Map, together
from workers.merging.folding import fold_into
from workers.merging.kernel import Ingredients
from workers.merging.methods import KERNELS, SURVEYS
from workers.merging.plan import Input, MergePlan, TensorPlan

Read = Callable[[Parent, str], Tensor]
ReadRecord = Callable[[Parent, str, str], Tensor | None]
"""(parent, kind, tensor) -> what a calibration pass recorded, or None."""


def no_records(parent: Parent, kind: str, tensor: str) -> Tensor | None:  # noqa: ARG001 - a ReadRecord
    """Stands where no reader of records is given; only methods that need some ask.

    Raises:
        MergeError: Always.
    """
    raise missing_record(str(parent), kind)


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
def survey(plan: MergePlan, sources: Sources, caches: Caches | None = None) -> object:
    """Returns what the method must know of the whole model before its first tensor; None for most.

    Args:
        plan: Of the model.
        sources: Of the weights.
        caches: What is remembered for the merge that follows.

    Raises:
        MergeError: The survey found what cannot be merged.
    """
    # Beside the recipe's method there are only copies, which no survey looks at.
    portions = [PlannedPortion(tensor, sources) for tensor in plan.tensors if tensor.kernel in SURVEYS]
    if not portions:
        return None
    found = SURVEYS[portions[0].plan.kernel or ""]
    if found.measure is None or found.combine is None or caches is None:
        return found.look(portions)
    measure = found.measure
    entries = {portion.name: math.prod(portion.shape) for portion in portions}
    countdown = Countdown("looking at the whole model:", len(portions), entries=sum(entries.values()))

    @torch.no_grad()
    def measured(portion: PlannedPortion) -> object:
        ingredients = portion.load()
        found = measure(ingredients, prepared(portion.plan, ingredients, caches))
        countdown.step(entries[portion.name])
        return found

    return found.combine(side_by_side([portion.plan for portion in portions])(measured, portions))


@torch.no_grad()
def merge_tensor(
    plan: TensorPlan,
    sources: Sources,
    findings: object = None,
    work: Map = together,
    caches: Caches | None = None,
) -> Tensor:
    """Returns one tensor of the merged model, of the plan's shape and `out_dtype`.

    It may be a parent's own tensor, unchanged, and must not be written to.

    Args:
        plan: Of the tensor.
        sources: Of the weights.
        findings: What the survey found.
        work: How to go through the tensor's stretches.
        caches: What was remembered of the survey, and where prepared tensors are stored.

    Raises:
        MergeError: The recipe's numbers give no tensor, or one with NaN or infinity; the message
            names the tensor, and the parent where one is at fault.
    """
    if plan.fold is not None:
        target: torch.dtype = _dtype(plan.out_dtype)
        unfolded = replace(plan, fold=None, out_dtype="float64" if target == torch.float64 else "float32")
        folded = fold_into(plan.fold, merge_tensor(unfolded, sources, findings, work, caches), target)
        check_merged(plan, sources, finite=is_finite(folded))
        return folded
    return _merged(plan, sources, findings, caches, work)


def merge_into(
    target: Tensor,
    plan: TensorPlan,
    sources: Sources,
    findings: object = None,
    caches: Caches | None = None,
    work: Map = together,
    *,
    held: HeldInputs | None = None,
) -> HeldInputs | None:
    """Writes one tensor of the merged model in place; returns what may be held for the next candidate's.

    Args:
        target: Of the plan's shape; where its format is not the plan's `out_dtype`, the tensor is
            rounded to that first.
        plan: Of the tensor.
        sources: Of the weights.
        findings: What the survey found.
        caches: What is remembered between candidates.
        work: How to go through the stretches of the tensor.
        held: What was returned of the last candidate's tensor in the same target.

    Raises:
        MergeError: As `merge_tensor`; the target holds no usable numbers then.
    """
    if copied_from(plan) is None and target.dtype == _dtype(plan.out_dtype):
        if held is None or not held.serve(plan, sources):
            held = hold(plan, sources)
        try:
            finite = merge_fast(plan, load(plan, sources, findings, held), target, caches, work, held)
        except MergeError as error:
            if error.field == plan.name:
                raise
            raise named_error(plan, error) from error
        if finite is not None:
            check_merged(plan, sources, finite=finite)
            return held if held.lasting else None
    target.copy_(_merged(plan, sources, findings, caches, work))
    return None


@torch.no_grad()
def _merged(plan: TensorPlan, sources: Sources, findings: object, caches: Caches | None, work: Map) -> Tensor:
    """As `merge_tensor`, with what `merge_into` may use."""
    source = copied_from(plan)
    if source is not None:
        result = _cast(plan, source, sources)
        result = result if plan.out_dtype is None else result.to(_dtype(plan.out_dtype))
        check_merged(plan, sources, finite=plan.kernel is None or is_finite(result))
        return result
    try:
        ingredients = load(plan, sources, findings)
        result = torch.empty(plan.shape, dtype=_dtype(plan.out_dtype), device=sources.device)
        finite = merge_fast(plan, ingredients, result, caches, work)
        if finite is None:
            result = KERNELS[plan.kernel or ""](ingredients).to(result.dtype)
            finite = is_finite(result)
    except MergeError as error:
        if error.field == plan.name:
            raise
        raise named_error(plan, error) from error
    check_merged(plan, sources, finite=finite)
    return result


def copied_from(plan: TensorPlan) -> Input | None:
    """Returns the one input that a tensor is a copy of, or None where it must be computed."""
    unchanged = plan.kernel == "passthrough" and plan.per_parent.get("scale") == (1.0,)
    return plan.inputs[0] if plan.kernel is None or unchanged else None


def named_error(plan: TensorPlan, error: MergeError) -> MergeError:
    """Returns a kernel's complaint with the tensor's name."""
    return MergeError(plan.name, f"{error.field}: {error.detail}", error.remedy)


def check_merged(plan: TensorPlan, sources: Sources, *, finite: bool) -> None:
    """Refuses a merged tensor that holds NaN or infinity."""
    if finite:
        return
    for item in (*plan.inputs, *([plan.base] if plan.base is not None else [])):
        check_finite(f"{item.tensor} of {item.parent}", sources.read(item.parent, item.tensor))
    raise MergeError(
        plan.name,
        f"the merged values overflow {plan.out_dtype}",
        "use smaller weights, or a wider out_dtype",
    )


def _dtype(name: str | None) -> torch.dtype:
    found: torch.dtype = getattr(torch, str(name))
    return found


def hold(plan: TensorPlan, sources: Sources) -> HeldInputs:
    """Reads the weights that a tensor is made of, in the precision that the plan asks for."""
    items = plan.inputs if plan.base is None else (*plan.inputs, plan.base)
    stored = [sources.read(item.parent, item.tensor) for item in items]
    read = tuple(_in_precision(plan, tensor, sources) for tensor in stored)
    lasting = all(mine is its for mine, its in zip(read, stored, strict=True))
    count = len(plan.inputs)
    return HeldInputs(sources, plan, read[:count], None if plan.base is None else read[count], lasting)


def load(
    plan: TensorPlan, sources: Sources, findings: object = None, held: HeldInputs | None = None
) -> Ingredients:
    """Returns what a tensor is made of: weights that are held or read, and records."""
    held = held or hold(plan, sources)
    kinds = METHODS[plan.kernel].records if plan.kernel is not None else ()

    def recorded(item: Input, kind: str) -> Tensor | None:
        found = sources.record(item.parent, kind, item.tensor)
        return None if found is None else found.to(sources.device)

    return Ingredients(
        parents=held.parents,
        base=held.base,
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
    return _in_precision(plan, sources.read(item.parent, item.tensor), sources)


def _in_precision(plan: TensorPlan, tensor: Tensor, sources: Sources) -> Tensor:
    return tensor.to(device=sources.device, dtype=getattr(torch, plan.dtype) if plan.dtype else tensor.dtype)
