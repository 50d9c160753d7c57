"""The SHA-256 of every tensor's content in safetensors files, and digests of whole folders.  Torch-free."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

_AT_ONCE = 8 * 2**20  # bytes
_METADATA = "__metadata__"


def tensor_digests(folder: Path) -> dict[str, str]:
    """Returns the digest of every tensor in a folder's safetensors files, by name; they are sound."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            found |= {name: _digest(file, start, end) for name, (start, end) in _places(file)}
    return found


def folder_digest(files: Mapping[str, Path], known: Mapping[str, str] | None = None) -> str:
    """Returns one digest of a folder's files: the SHA-256 of their `content_digest`s and names.

    Args:
        files: By name, sorted.
        known: Digests of tensors, by name, that need not be computed.
    """
    told = "".join(f"{content_digest(path, known)}  {name}\n" for name, path in files.items())
    return hashlib.sha256(told.encode()).hexdigest()


def content_digest(path: Path, known: Mapping[str, str] | None = None) -> str:
    """Returns a digest of a file's content, in hexadecimal.

    It is the file's SHA-256; of a safetensors file it is the SHA-256 of its header followed by the
    SHA-256 of every tensor, one a line, so that tensors hashed already are not read again.
    """
    if path.suffix != ".safetensors":
        return sha256_of(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(_header(file))
        for name, (start, end) in _places(file):
            given = (known or {}).get(name)
            digest.update(f"{given if given is not None else _digest(file, start, end)}\n".encode())
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _header(file: BinaryIO) -> bytes:
    """Returns what the file begins with, up to its data."""
    file.seek(0)
    length = file.read(8)
    return length + file.read(struct.unpack("<Q", length)[0])


def _places(file: BinaryIO) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yields where every tensor's content begins and ends in a file."""
    header = _header(file)
    described: dict[str, Any] = json.loads(header[8:])
    for name, entry in described.items():
        if name != _METADATA:
            start, end = entry["data_offsets"]
            yield name, (len(header) + start, len(header) + end)


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
