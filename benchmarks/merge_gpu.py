"""What a candidate's merge costs on a GPU: in times the bytes it must move over the bandwidth measured there.

The weights are random and made on the device.  The files beside them hold headers only, so that the
way from the recipe to the live model is the one that experiments take, and a disk is not needed.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from torch import Tensor

from benchmarks.measuring.report import Samples, print_table
from benchmarks.merge_models import CASES, MODELS, SEVEN_BILLION, Case, Size, recipe_text, write_description
from search_spaces import Parent
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from workers.checkpoints.architecture.configuration import merged_config
from workers.checkpoints.inspection import inspect_checkpoint
from workers.checkpoints.layout import Layout
from workers.merging.fast.caches import Caches
from workers.merging.plan import plan_merge
from workers.merging.stream import Sources
from workers.runtime.live_model import LiveModel
from workers.runtime.resident_parents import cache_limit

GOAL = 2.0  # times the bytes over the bandwidth
METHODS = ("linear", "task_arithmetic", "slerp", "ties", "dare_ties", "della", "breadcrumbs")
_COPIED = 2**30  # bytes


@dataclass(frozen=True, slots=True)
class DeviceTiming:
    """What one method took on the device; `floor` is the seconds that its bytes take at least."""

    case: Case
    first: float
    merge: Samples
    floor: float

    @property
    def of_floor(self) -> float:
        """How many times the floor a candidate takes, median."""
        return self.merge.median / self.floor


class DeviceBench:
    """Models of random weights on a device, and a live model beside them."""

    def __init__(self, device: str, size: Size, work: Path) -> None:
        self.device, self.folders = device, [work / name for name in MODELS]
        self.layouts: dict[Parent, Layout] = {}
        for folder in self.folders:
            folder.mkdir()
            write_description(folder, size)
            write_hollow(folder / "model.safetensors", size)
            parent = Parent(model=str(folder))
            self.layouts[parent] = inspect_checkpoint(parent, folder)
        self._weights = self._random_weights()
        self.owner = next(iter(self.layouts.values()))

    def _random_weights(self) -> dict[tuple[Parent, str], Tensor]:
        """Makes parents that differ from the base a little, as fine-tuned models do."""
        made: dict[tuple[Parent, str], Tensor] = {}
        generator = torch.Generator(self.device).manual_seed(0)
        base, *parents = self.layouts.values()
        for name, entry in base.tensors.items():
            origin = torch.empty(entry.shape, dtype=torch.bfloat16, device=self.device)
            made[base.parent, name] = origin.normal_(std=0.02, generator=generator)
            for layout in parents:
                change = torch.empty_like(origin).normal_(std=0.002, generator=generator)
                made[layout.parent, name] = change.add_(origin)
        return made

    def read(self, parent: Parent, name: str) -> Tensor:
        """Returns a parent's tensor."""
        return self._weights[parent, name]

    def bandwidth(self) -> float:
        """Returns bytes per second, read and written, of the device's own copy."""
        source = torch.ones(_COPIED, dtype=torch.uint8, device=self.device)
        target = torch.empty_like(source)
        target.copy_(source)
        seconds = []
        for _ in range(10):
            start = self._now()
            target.copy_(source)
            seconds.append(self._now() - start)
        return 2 * _COPIED / Samples(tuple(seconds)).median

    def _now(self) -> float:
        """Returns the time when everything that was asked of the device is done."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return perf_counter()

    def time(self, case: Case, repeats: int, bandwidth: float) -> DeviceTiming:
        """Measures a method; planning is not counted, each candidate has other coefficients."""
        live = LiveModel(self.owner, device=self.device, caches=Caches(cache_limit(self.device)))
        sources = Sources(self.read, device=self.device)
        seconds = []
        for number in range(repeats + 2):
            recipe = read_recipe(recipe_text(case, self.folders, number))
            plan = plan_merge(recipe, self.layouts)
            config = merged_config(plan.owner, recipe, self.layouts)
            start = self._now()
            live.overwrite(config, plan, sources)
            seconds.append(self._now() - start)
        floor = self.owner.bytes * (case.inputs + 1) / bandwidth
        return DeviceTiming(case, seconds[0], Samples(tuple(seconds[2:])), floor)


def write_hollow(path: Path, size: Size) -> None:
    """Writes a safetensors file of the right length that holds nothing but its header."""
    header, end = {}, 0
    for name, shape in size.shapes.items():
        count = 2
        for length in shape:
            count *= length
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [end, end + count]}
        end += count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(path, 8 + len(text) + end)


def measure_gpu(
    device: str, repeats: int, size: Size = SEVEN_BILLION, methods: Sequence[str] = METHODS
) -> dict[str, float]:
    """Measures methods on a device and prints a table; returns times the floor by method."""
    with TemporaryDirectory(prefix="evomerge-bench-") as folder:
        bench = DeviceBench(device, size, Path(folder))
        bandwidth = bench.bandwidth()
        found = []
        for case in CASES:
            if case.method in methods:
                found.append(bench.time(case, repeats, bandwidth))
                print(f"  {device}, {case.method}: {found[-1].of_floor:.2f} x floor", flush=True)
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    rows = [
        (
            one.case.method,
            f"{one.merge.median * 1e3:.1f}",
            f"{one.floor * 1e3:.1f}",
            f"{one.of_floor:.2f}",
            f"{GOAL:g}",
            f"{one.first:.2f}",
        )
        for one in found
    ]
    print_table(
        f"On {name}: {bench.owner.bytes / 2e9:.2f} billion parameters in bfloat16, copies move "
        f"{bandwidth / 1e9:.0f} GB/s",
        ("method", "ms", "bytes over bandwidth, ms", "ratio", "goal", "first s"),
        rows,
    )
    return {one.case.method: round(one.of_floor, 3) for one in found}
