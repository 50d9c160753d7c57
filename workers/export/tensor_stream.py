"""A merged model's tensors, one after the other, within a memory limit.

Parents are mapped into memory.  Pages that were read count as the process's own until the files are
closed, so they are closed, and opened again, whenever much of them was read.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import Lock

import psutil
import torch
from torch import Tensor

from search_spaces import Parent
from workers.calibration.records import Records
from workers.checkpoints.layout import Layout
from workers.checkpoints.parents import CheckpointReader
from workers.compatibility.fitted_reader import FittedReader, TensorReader
from workers.compatibility.fitting import FittedParents
from workers.errors import ExportError
from workers.export.memory_limit import MemoryLimit, in_words, within_limit
from workers.merging.fast.applicable import has_fast_way
from workers.merging.fast.caches import Caches
from workers.merging.fast.dispatch import load_kernels
from workers.merging.fast.preparations.prepared_store import users_store
from workers.merging.fast.threads import begin, one_by_one
from workers.merging.methods import PREPARATIONS, SURVEYS
from workers.merging.plan import Input, MergePlan, TensorPlan
from workers.merging.row_blocks import (
    USUAL_BLOCK,
    can_be_cut,
    cut,
    decompositions_at_once,
    parts_of,
    rows_within,
    working_bytes,
)
from workers.merging.stream import ReadRecord, Sources, merge_tensor, no_records, survey

MAPPED_AT_MOST = 256 * 2**20  # bytes read before the files are closed
_SLACK = 8  # that part of the memory is the allocator's: it keeps some of what was freed


@contextmanager
def open_stream(
    plan: MergePlan,
    stored: Mapping[Parent, Layout],
    fitted: FittedParents,
    memory_limit: int | None,
    device: torch.device,
) -> Iterator[TensorStream]:
    """Opens the parents' files, and yields the stream of a plan's tensors.

    Args:
        plan: Of the fitted parents.
        stored: The parents' layouts as they are on disk.
        fitted: The parents made alike.
        memory_limit: Bytes that the process may hold; None is no limit.
        device: Where the tensors are merged.

    Raises:
        WorkerError: The limit leaves too little, or a parent cannot be opened.
    """
    with FittedReader(CheckpointReader(stored), fitted) as parents, Records(stored) as records:
        if memory_limit is not None:
            _load_code(plan, parents, records.record)
        limit = within_limit(memory_limit)
        yield TensorStream(plan, fitted.layouts, parents, limit, records.record, device=device)


def _load_code(plan: MergePlan, parents: TensorReader, record: ReadRecord) -> None:
    """Merges a row, so that what a first merge loads counts as the program's and not as a tensor's."""
    load_kernels(plan.tensors)
    first = slice(0, 1)
    for tensor in plan.tensors:
        if tensor.kernel is not None and tensor.kernel not in SURVEYS and can_be_cut(tensor):
            sources = Sources(lambda parent, name: parents.read(parent, name)[first], record)
            merge_tensor(cut(tensor, first), sources, None)
            return


def _ended(begun: deque[tuple[str, Future[Tensor]]]) -> tuple[str, Tensor]:
    """Waits for the tensor that was begun first."""
    name, merging = begun.popleft()
    return name, merging.result()


class TensorStream:
    """Merges a plan's tensors in order; knows in how many pieces.

    Attributes:
        queued: Bytes of results that may wait for the disk.

    Raises:
        ExportError: One is too large for the memory limit, and its method needs it whole.
    """

    def __init__(
        self,
        plan: MergePlan,
        layouts: Mapping[Parent, Layout],
        parents: TensorReader,
        memory_limit: MemoryLimit,
        record: ReadRecord = no_records,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        self._device = torch.device(device)
        self._plan, self._layouts, self._parents, self._record = plan, layouts, parents, record
        self.queued = memory_limit.queued
        self._mapped_at_most, left = MAPPED_AT_MOST, memory_limit.left
        if left is not None:
            self._mapped_at_most = min(MAPPED_AT_MOST, left // 4)
            left -= self._mapped_at_most + memory_limit.queued + left // _SLACK
        self._left = left
        self._mapped = 0  # bytes read since the files were closed
        self._reading = Lock()
        self._rows = [self._rows_of(tensor, left, memory_limit) for tensor in plan.tensors]
        self._caches = self._caches_for(plan)

    def tensors_from(self, number: int) -> Iterator[tuple[str, Tensor]]:
        """Yields the tensors from this number on, in memory, large ones in pieces of some rows.

        Raises:
            WorkerError: A tensor cannot be read or merged.
        """
        if number == len(self._plan.tensors):
            return
        whole = Sources(self._read, self._record, self._device)
        findings = survey(self._plan, whole, self._caches)
        begun: deque[tuple[str, Future[Tensor]]] = deque()
        try:
            for tensor, rows in zip(self._plan.tensors[number:], self._rows[number:], strict=True):
                if rows is None and self._beside_others(tensor):
                    merge = partial(merge_tensor, tensor, whole, findings, one_by_one, self._caches)
                    begun.append((tensor.name, begin(merge)))
                    if len(begun) > torch.get_num_threads():
                        yield _ended(begun)
                    continue
                while begun:
                    yield _ended(begun)
                if rows is None:
                    yield tensor.name, merge_tensor(tensor, whole, findings, caches=self._caches).cpu()
                    continue
                for part in parts_of(tensor, rows):
                    sources = replace(whole, read=partial(self._read_rows, part))
                    yield tensor.name, merge_tensor(cut(tensor, part), sources, findings).cpu()
            while begun:
                yield _ended(begun)
        finally:
            wait([merging for _, merging in begun])  # they read files that are about to be closed
            torch.set_num_threads(torch.get_num_threads())  # decompositions leave one

    def _caches_for(self, plan: MergePlan) -> Caches | None:
        """Returns what a method that prepares tensors needs; others make each once, and remember nothing.

        What a survey prepared is remembered for the merge, unless memory is limited.
        """
        kernels = {tensor.kernel for tensor in plan.tensors if tensor.kernel in PREPARATIONS}
        if not kernels or self._device.type != "cpu":
            return None
        surveyed = bool(kernels & SURVEYS.keys()) and self._left is None
        return Caches(psutil.virtual_memory().available // 4 if surveyed else 0, users_store())

    def _beside_others(self, tensor: TensorPlan) -> bool:
        """Says whether a tensor is merged by one thread while others merge its neighbours."""
        if self._device.type != "cpu":
            return False
        if tensor.kernel in PREPARATIONS:
            at_once = decompositions_at_once([tensor], self._left) or 1
            return at_once > torch.get_num_threads()
        if math.prod(tensor.shape) > USUAL_BLOCK or not has_fast_way(tensor):
            return False
        needed = working_bytes(tensor, self._inputs_bytes(tensor)) * (torch.get_num_threads() + 1)
        return self._left is None or needed <= self._left

    def _read(self, parent: Parent, name: str) -> Tensor:
        with self._reading:
            return self._counted(self._parents.read(parent, name))

    def _read_rows(self, part: slice, parent: Parent, name: str) -> Tensor:
        with self._reading:
            return self._counted(self._parents.read(parent, name)[part])

    def _counted(self, tensor: Tensor) -> Tensor:
        """Closes the files when much was read; what is still in use stays readable."""
        if self._mapped > self._mapped_at_most:
            self._parents.close()
            self._mapped = 0
        self._mapped += tensor.nbytes
        return tensor

    def _inputs_bytes(self, tensor: TensorPlan) -> int:
        """Returns the size of all that a tensor is made of."""
        return sum(self._size(item) for item in (*tensor.inputs, *([tensor.base] if tensor.base else [])))

    def _rows_of(self, tensor: TensorPlan, left: int | None, memory_limit: MemoryLimit) -> int | None:
        """Returns how many rows of a tensor to merge at once; None merges it whole."""
        size = self._inputs_bytes(tensor)
        if can_be_cut(tensor):
            rows = rows_within(tensor, size, left)
            if rows is not None:
                return None if rows >= tensor.shape[0] else rows
            needed = working_bytes(tensor, size) // tensor.shape[0]
        else:
            needed = working_bytes(tensor, size)
            if left is None or needed <= left:
                return None
        limit = memory_limit.limit or 0
        raise ExportError(
            "memory limit",
            f"merging {tensor.name!r} of shape {list(tensor.shape)} by {tensor.kernel} takes about "
            f"{in_words(needed)}, and {in_words(left or 0)} of {in_words(limit)} are left for it",
            f"allow {in_words(limit + 2 * (needed - (left or 0)))} or more, or use a method that merges "
            "row by row",
        )

    def _size(self, item: Input) -> int:
        entry = self._layouts[item.parent].tensors.get(item.tensor)
        return 0 if entry is None else entry.bytes
