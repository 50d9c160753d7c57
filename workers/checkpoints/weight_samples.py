"""A few numbers of a few tensors: evidence of whether two checkpoints come from one.  Torch-free."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.checkpoints.layout import Layout, TensorEntry

NUMBERS = 2048  # of each tensor, from its middle
TENSORS = 6
TYPES: Mapping[str, type[np.generic]] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,  # the upper half of a float32
}

Sample = Mapping[str, NDArray[np.float32]]
"""Tensor -> numbers from its middle, [NUMBERS] at most."""


def names_to_sample(layouts: Sequence[Layout]) -> list[str]:
    """Returns some matrices that all of the checkpoints have in one shape, spread over the depth."""
    first = layouts[0]
    fitting = [
        name
        for name, entry in sorted(first.tensors.items())
        if len(entry.shape) == 2
        and first.layer_of(name) is not None
        and all(_alike(entry, layout.tensors.get(name)) for layout in layouts)
    ]
    step = max(1, math.ceil(len(fitting) / TENSORS))
    return fitting[::step]


def sample(layout: Layout, names: Sequence[str]) -> Sample:
    """Returns the middle of each of these tensors; empty where the files are not here."""
    if not all(layout.tensors[name].file.is_file() for name in names):
        return {}
    places, found = Places(layout), {}
    for name in names:
        count = math.prod(layout.tensors[name].shape)
        taken = min(count, NUMBERS)
        found[name] = read_numbers(places, name, (count - taken) // 2, taken).astype(np.float32)
    return found


class Places:
    """Where a checkpoint's tensors begin in its files; each header is read once, when it is asked for."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._headers: dict[Path, tuple[int, Any]] = {}

    def begin(self, name: str) -> int:
        """Returns the byte of its file at which a tensor begins."""
        entry = self.layout.tensors[name]
        if entry.file not in self._headers:
            self._headers[entry.file] = _header(entry.file)
        start, header = self._headers[entry.file]
        return start + int(header[entry.stored_as or name]["data_offsets"][0])


def read_numbers(places: Places, name: str, start: int, count: int) -> NDArray[np.floating[Any]]:
    """Returns `count` numbers of a tensor from `start` on, [count], in a format that holds them exactly."""
    entry = places.layout.tensors[name]
    kind = np.dtype(TYPES[entry.dtype]).newbyteorder("<")
    with entry.file.open("rb") as file:
        file.seek(places.begin(name) + start * kind.itemsize)
        raw = np.frombuffer(file.read(count * kind.itemsize), dtype=kind)
    if entry.dtype == "BF16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw


def relative_distance(sampled: Sample, origin: Sample) -> float | None:
    """Returns |x - x_0| / |x_0| over all sampled numbers; None where nothing can be compared."""
    names = [name for name in origin if name in sampled]
    if not names:
        return None
    x, x_0 = (np.concatenate([part[name] for name in names]).astype(np.float64) for part in (sampled, origin))
    length = float(np.linalg.norm(x_0))
    distance = float(np.linalg.norm(x - x_0))
    if not math.isfinite(distance) or not math.isfinite(length):
        return None
    return distance / length if length else (0.0 if distance == 0 else None)


def _alike(entry: TensorEntry, other: TensorEntry | None) -> bool:
    """Says whether two tensors can be compared; what an adapter adds to one is not in its file's numbers."""
    if other is None or entry.change is not None or other.change is not None:
        return False
    return other.shape == entry.shape and {entry.dtype, other.dtype} <= TYPES.keys()


def _header(path: Path) -> tuple[int, Any]:
    with path.open("rb") as file:
        length = int(struct.unpack("<Q", file.read(8))[0])  # looked at before, within our limits
        return 8 + length, json.loads(file.read(length))
