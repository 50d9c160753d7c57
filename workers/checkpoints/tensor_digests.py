"""The SHA-256 of every tensor's content, read from safetensors files.  Torch-free."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

_AT_ONCE = 8 * 2**20  # bytes
_METADATA = "__metadata__"


def tensor_digests(folder: Path, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the digest of every tensor in a folder's safetensors files, by name.

    Args:
        folder: The checkpoint's; its files are taken to be sound.
        known: Digests that need not be computed.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            for name, (start, end) in _places(file):
                given = (known or {}).get(name)
                found[name] = given if given is not None else _digest(file, start, end)
    return found


def _places(file: BinaryIO) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yields where every tensor's content begins and ends in a file."""
    (length,) = struct.unpack("<Q", file.read(8))
    header: dict[str, Any] = json.loads(file.read(length))
    for name, described in header.items():
        if name != _METADATA:
            start, end = described["data_offsets"]
            yield name, (8 + length + start, 8 + length + end)


def _digest(file: BinaryIO, start: int, end: int) -> str:
    digest, left = hashlib.sha256(), end - start
    file.seek(start)
    while left:
        chunk = file.read(min(left, _AT_ONCE))
        if not chunk:
            raise OSError(f"{file.name} ends before its last tensor")
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest()
