"""Merging a tensor some rows at a time: where that gives the same bits, and how much memory it takes.

Nothing is known of a method unless it stands in a table here: it is then merged whole, and taken to
need as much memory as the neediest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import psutil

from workers.merging.methods import PREPARATIONS
from workers.merging.plan import TensorPlan

USUAL_BLOCK = 4 * 2**20  # entries: what a merge and a writer on two threads handle in turns
SMALLEST_BLOCK = 2**18  # entries: smaller ones gain nothing
_FLOAT = 4  # bytes of an entry under way


def _always(plan: TensorPlan) -> bool:  # noqa: ARG001 - one of several
    return True


def _by_row(plan: TensorPlan) -> bool:
    return plan.choices.get("granularity") == "row" and len(plan.shape) > 1


ROW_BY_ROW: Mapping[str, Callable[[TensorPlan], bool]] = {
    "linear": _always,
    "passthrough": _always,
    "task_arithmetic": _always,
    "nearswap": _always,
    "ties": _by_row,
    "model_stock": _by_row,
    "nuslerp": _by_row,
}
"""The methods that can make some rows of a tensor from the same rows of the parents' alone."""

_COPIES: Mapping[str, float] = {
    "linear": 3, "slerp": 4, "nuslerp": 5, "multislerp": 5, "karcher": 4, "model_stock": 5,
    "sparse_soup": 5, "passthrough": 2, "task_arithmetic": 4, "nearswap": 4, "dare": 6, "dare_linear": 6,
    "dare_ties": 8, "della_linear": 8, "della": 12, "breadcrumbs": 12, "breadcrumbs_ties": 14, "ties": 16,
    "varm": 6, "sce": 12, "ram": 12, "ramplus_tl": 12, "arcee_fusion": 10, "consensus": 6, "tall_mask": 6,
}  # fmt: skip
"""Float32 copies of one input that a kernel holds at its fullest, measured with three parents."""
_MOST_COPIES = 32.0


def can_be_cut(plan: TensorPlan) -> bool:
    """Says whether a tensor may be merged some rows at a time."""
    if len(plan.shape) == 0 or math.prod(plan.shape) == 0:
        return False
    return plan.kernel is None or (plan.kernel in ROW_BY_ROW and ROW_BY_ROW[plan.kernel](plan))


def working_bytes(plan: TensorPlan, input_bytes: int, entries: int | None = None) -> int:
    """Estimates the memory that merging a tensor, or so many of its entries, takes at its fullest.

    Args:
        plan: The tensor's.
        input_bytes: The size of all its inputs together, as they are on the disk.
        entries: How many are merged at once; None takes all.
    """
    total = max(1, math.prod(plan.shape))
    entries = total if entries is None else entries
    copies = 0.0 if plan.kernel is None else _COPIES.get(plan.kernel, _MOST_COPIES)
    own = input_bytes / total + copies * _FLOAT
    # Two results more: one waits for the disk, one is being written.
    return math.ceil(entries * (own + 2 * _FLOAT))


def decompositions_at_once(plans: Sequence[TensorPlan], available: int | None = None) -> int | None:
    """Returns how many of these tensors may be decomposed at once; None where none is to be.

    Args:
        plans: Of the tensors.
        available: Bytes of memory; None takes three quarters of what the machine has free.
    """
    largest = max((math.prod(plan.shape) for plan in plans if plan.kernel in PREPARATIONS), default=0)
    if not largest:
        return None
    if available is None:
        available = psutil.virtual_memory().available * 3 // 4
    return max(1, available // math.ceil(largest * _FLOAT * _MOST_COPIES))


def rows_within(plan: TensorPlan, input_bytes: int, budget: int | None) -> int | None:
    """Returns how many rows of a tensor that can be cut to merge at once; None where one is too many."""
    count, width = plan.shape[0], math.prod(plan.shape[1:])
    least = min(count, math.ceil(SMALLEST_BLOCK / width))
    at_once = max(least, USUAL_BLOCK // width)
    if budget is not None:
        at_once = min(at_once, budget // working_bytes(plan, input_bytes, width))
    return min(count, at_once) if at_once >= least else None


def parts_of(plan: TensorPlan, rows: int) -> Iterator[slice]:
    """Yields the runs of at most so many rows that make up a tensor, all of about one length."""
    count = plan.shape[0]
    parts = math.ceil(count / rows)
    for number in range(parts):
        yield slice(number * count // parts, (number + 1) * count // parts)


def cut(plan: TensorPlan, part: slice) -> TensorPlan:
    """Returns the plan of some of a tensor's rows, for inputs that are cut alike."""
    return replace(plan, shape=(part.stop - part.start, *plan.shape[1:]))
