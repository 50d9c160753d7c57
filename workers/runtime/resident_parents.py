"""Parents resident in memory: every tensor is read once and stays for all candidates.

Where they lie is chosen from what fits: beside the live model on the GPU, in the host's memory locked
for fast transfers, or in files that are mapped into memory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import psutil
import torch
from torch import Tensor

from search_spaces import Parent
from workers.checkpoints.layout import Layout
from workers.checkpoints.parents import CheckpointReader, check_finite
from workers.merging.arithmetic.precision import is_finite
from workers.merging.stream import ReadRecord, Sources, no_records

_SHARE_OF_GPU = 0.9
_SHARE_OF_HOST = 0.5  # locked memory cannot be swapped out: the rest of the machine needs some too
_SHARE_FOR_CACHES = 0.25  # of the GPU
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the parents lie, and why there."""

    kind: Literal["gpu", "pinned", "mapped"]
    sentence: str

    def __str__(self) -> str:
        """Returns the sentence."""
        return self.sentence


class ResidentParents:
    """All tensors of the parents, in memory for as long as an experiment lasts.

    Attributes:
        layouts: Of the parents.
        device: Where they are merged.
        placement: Where they lie, in a sentence.
    """

    def __init__(
        self, layouts: Mapping[Parent, Layout], device: str = "cpu", *, record: ReadRecord = no_records
    ) -> None:
        """Reads them all.

        Raises:
            CheckpointError: A file is broken, or a tensor holds NaN or infinity.
        """
        self.layouts = dict(layouts)
        self.device = device
        self._record, self._stamps = record, _stamps(layouts)
        self.placement = choose_placement(self.layouts, device)
        self._reader = CheckpointReader(
            self.layouts, device=device if self.placement.kind == "gpu" else "cpu"
        )
        self._tensors: dict[tuple[Parent, str], Tensor] = {}
        for parent, layout in self.layouts.items():
            for name in layout.tensors:
                tensor = self._reader.read(parent, name)
                if not is_finite(tensor):  # one pass; `check_finite` takes many times as long to say more
                    check_finite(parent, name, tensor)
                self._tensors[parent, name] = (
                    tensor.pin_memory() if self.placement.kind == "pinned" else tensor
                )

    def still_holds(self, layouts: Mapping[Parent, Layout], device: str) -> bool:
        """Says whether these are the models, and their files are as they were when they were read."""
        return self.device == device and self.layouts == layouts and self._stamps == _stamps(layouts)

    def record_by(self, record: ReadRecord) -> None:
        """Takes records of calibrations from somewhere else from now on."""
        self._record = record

    @property
    def sources(self) -> Sources:
        """The parents as merging reads them."""
        return Sources(self.read, self._record, self.device)

    def read(self, parent: Parent, name: str) -> Tensor:
        """Returns a parent's tensor; it must not be changed.

        Raises:
            CheckpointError: The parent has no such tensor.
        """
        found = self._tensors.get((parent, name))
        return found if found is not None else self._reader.read(parent, name)

    def close(self) -> None:
        """Lets the tensors go."""
        self._tensors.clear()
        self._reader.close()


def _stamps(layouts: Mapping[Parent, Layout]) -> set[tuple[str, int, int]]:
    """Returns what tells whether weights were changed: sizes and times of the files, adapters' too."""
    files = {entry.file for layout in layouts.values() for entry in layout.tensors.values()}
    changes = (entry.change for layout in layouts.values() for entry in layout.tensors.values())
    files |= {change.file for change in changes if change is not None}
    return {(str(file), (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files}


def choose_placement(layouts: Mapping[Parent, Layout], device: str) -> Placement:
    """Returns where parents of these sizes should lie to be merged on a device."""
    needed = sum(layout.bytes for layout in layouts.values())
    size = f"{len(layouts)} parents, {needed / _GIB:.1f} GiB"
    if not device.startswith("cuda"):
        return Placement("mapped", f"{size}, mapped into memory from their files, merged on the CPU")
    largest = max(layout.bytes for layout in layouts.values())
    free, _ = torch.cuda.mem_get_info(device)
    # The live model and its activations need about twice a parent's size.
    if needed + 2 * largest < _SHARE_OF_GPU * free:
        return Placement(
            "gpu", f"{size}, on {device} beside the live model ({free / _GIB:.1f} GiB were free)"
        )
    reason = f"{device} has {free / _GIB:.1f} GiB free"
    host = psutil.virtual_memory().available
    if needed < _SHARE_OF_HOST * host:
        return Placement("pinned", f"{size}, in pinned host memory, merged on {device}: {reason}")
    reason += f" and the host {host / _GIB:.1f}"
    return Placement("mapped", f"{size}, mapped from their files, merged on {device}: {reason}")


def cache_limit(device: str = "cpu") -> int:
    """Returns how many bytes this worker's merging may remember between candidates.

    On a GPU a quarter of what is free there, because the live model and its activations come beside it;
    else half of the host's, shared among the workers that fill the machine as its cores are.
    """
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return int(_SHARE_FOR_CACHES * free)
    share = torch.get_num_threads() / (os.cpu_count() or 1)
    return int(_SHARE_OF_HOST * psutil.virtual_memory().available * min(share, 1.0))
