"""The safetensors files that a checkpoint will have: which tensors, in which file, under which header.

Sizes are known before any tensor is merged, so that a file's header can be written first.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workers.checkpoints.tensor_table import BITS, SINGLE_FILE


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor that will be written: `dtype` as safetensors writes it."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Its size in the file."""
        return math.prod(self.shape) * BITS[self.dtype] // 8


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of weights."""

    name: str
    tensors: tuple[StoredTensor, ...]

    def header(self) -> bytes:
        """Returns what the file begins with."""
        entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        position = 0
        for tensor in self.tensors:
            places = [position, position + tensor.bytes]
            entries[tensor.name] = {
                "dtype": tensor.dtype,
                "shape": list(tensor.shape),
                "data_offsets": places,
            }
            position += tensor.bytes
        text = json.dumps(entries, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # the data begins at a multiple of eight
        return struct.pack("<Q", len(text)) + text


def cut_into_shards(tensors: Sequence[StoredTensor], shard_bytes: int) -> list[Shard]:
    """Cuts the tensors, in order, into files of at most `shard_bytes`, or of one tensor."""
    groups: list[list[StoredTensor]] = []
    filled = 0
    for tensor in tensors:
        if not groups or filled + tensor.bytes > shard_bytes:
            groups.append([])
            filled = 0
        groups[-1].append(tensor)
        filled += tensor.bytes
    if len(groups) == 1:
        return [Shard(SINGLE_FILE, tuple(groups[0]))]
    return [
        Shard(f"model-{number:05d}-of-{len(groups):05d}.safetensors", tuple(group))
        for number, group in enumerate(groups, start=1)
    ]
