"""A merged model's tensors, one after the other, within a memory limit.

Parents are mapped into memory.  Pages that were read count as the process's own until the files are
closed, so they are closed, and opened again, whenever much of them was read.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor

from search_spaces import Parent
from workers.errors import ExportError
from workers.fitted_reader import TensorReader
from workers.layout import Layout
from workers.merging.plan import Input, MergePlan, TensorPlan
from workers.merging.row_blocks import can_be_cut, cut, parts_of, rows_within, working_bytes
from workers.merging.stream import ReadRecord, Sources, merge_tensor, no_records, survey

MAPPED_AT_MOST = 256 * 2**20  # bytes read before the files are closed
_SMALLEST_BUDGET = 32 * 2**20
_UNITS = ((1e9, "GB"), (1e6, "MB"))


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on the process's memory, and what is left of it for tensors; None is no limit."""

    limit: int | None = None
    left: int | None = None


def within_limit(limit: int | None) -> Budget:
    """Returns what a limit leaves for tensors, beside what the process holds already.

    Raises:
        ExportError: It leaves nothing.
    """
    if limit is None:
        return Budget()
    held = resident_bytes()
    if limit - held < _SMALLEST_BUDGET:
        raise ExportError(
            "memory limit",
            f"{in_words(limit)} is too little: the program alone takes {in_words(held)}",
            f"allow {in_words(held + 8 * _SMALLEST_BUDGET)} or more",
        )
    return Budget(limit, limit - held)


def resident_bytes() -> int:
    """Returns the memory that the process has resident, or the most it ever had where only that is known."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * os.sysconf("SC_PAGE_SIZE")


def in_words(count: float) -> str:
    """Returns a number of bytes as people say it."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.2f} {name}"
    return f"{count:.0f} bytes"


class TensorStream:
    """Merges a plan's tensors in order; knows in how many pieces.

    Raises:
        ExportError: One is too large for the memory limit, and its method needs it whole.
    """

    def __init__(
        self,
        plan: MergePlan,
        layouts: Mapping[Parent, Layout],
        parents: TensorReader,
        budget: Budget,
        record: ReadRecord = no_records,
    ) -> None:
        self._plan, self._layouts, self._parents, self._record = plan, layouts, parents, record
        self._mapped_at_most, left = MAPPED_AT_MOST, budget.left
        if left is not None:
            self._mapped_at_most = min(MAPPED_AT_MOST, left // 4)
            left -= self._mapped_at_most
        self._mapped = 0  # bytes read since the files were closed
        self._rows = [self._rows_of(tensor, left, budget) for tensor in plan.tensors]

    def tensors_from(self, number: int) -> Iterator[tuple[str, Tensor]]:
        """Yields the tensors from this number on, large ones in pieces of some rows.

        Raises:
            WorkerError: A tensor cannot be read or merged.
        """
        if number == len(self._plan.tensors):
            return
        whole = Sources(self._read, self._record)
        findings = survey(self._plan, whole)
        for tensor, rows in zip(self._plan.tensors[number:], self._rows[number:], strict=True):
            if rows is None:
                yield tensor.name, merge_tensor(tensor, whole, findings)
                continue
            for part in parts_of(tensor, rows):
                sources = replace(whole, read=partial(self._read_rows, part))
                yield tensor.name, merge_tensor(cut(tensor, part), sources, findings)

    def _read(self, parent: Parent, name: str) -> Tensor:
        return self._counted(self._parents.read(parent, name))

    def _read_rows(self, part: slice, parent: Parent, name: str) -> Tensor:
        return self._counted(self._parents.read(parent, name)[part])

    def _counted(self, tensor: Tensor) -> Tensor:
        """Closes the files when much was read; what is still in use stays readable."""
        if self._mapped > self._mapped_at_most:
            self._parents.close()
            self._mapped = 0
        self._mapped += tensor.nbytes
        return tensor

    def _rows_of(self, tensor: TensorPlan, left: int | None, budget: Budget) -> int | None:
        """Returns how many rows of a tensor to merge at once; None merges it whole."""
        size = sum(self._size(item) for item in (*tensor.inputs, *([tensor.base] if tensor.base else [])))
        if can_be_cut(tensor):
            rows = rows_within(tensor, size, left)
            if rows is not None:
                return None if rows >= tensor.shape[0] else rows
            needed = working_bytes(tensor, size) // tensor.shape[0]
        else:
            needed = working_bytes(tensor, size)
            if left is None or needed <= left:
                return None
        limit = budget.limit or 0
        raise ExportError(
            "memory limit",
            f"merging {tensor.name!r} of shape {list(tensor.shape)} by {tensor.kernel} takes about "
            f"{in_words(needed)}, and {in_words(left or 0)} of {in_words(limit)} are left for it",
            f"allow {in_words(limit + 4 * (needed - (left or 0)) / 3)} or more, or use a method that merges "
            "row by row",
        )

    def _size(self, item: Input) -> int:
        entry = self._layouts[item.parent].tensors.get(item.tensor)
        return 0 if entry is None else entry.bytes
