"""What an unfinished checkpoint holds already, so that a killed merge can go on where it stopped.

Beside the unfinished files lies a journal: a key that says what is being written, and then one line
per tensor, the SHA-256 of its content.  Nothing in it is believed: before a merge
goes on, the files are read and hashed again, and what does not match, or was not all on the disk when
the power went, is merged again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

from workers.checkpoints.writing.shards import Shard

_AT_ONCE = 8 * 2**20  # bytes
_DIGEST = 64  # characters


@dataclass(slots=True)
class Written:
    """What is on the disk, hashed.

    Attributes:
        digests: SHA-256 of every complete tensor's content, by name, in the checkpoint's order.
        complete: The names of the complete files.
        length: How many bytes of the file that is not complete are sound; zero where none was begun.
    """

    digests: dict[str, str] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)
    length: int = 0

    @property
    def tensors(self) -> int:
        """How many are complete."""
        return len(self.digests)


class MergeJournal:
    """One line per tensor, appended when its bytes have been written."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file

    @classmethod
    def none(cls) -> Self:
        """Returns a journal that remembers nothing, for what is not worth going on with."""
        return cls(None)

    @classmethod
    def begin(cls, path: Path, key: str) -> Self:
        """Begins a journal anew."""
        file = path.open("wb", buffering=0)
        file.write(key.encode() + b"\n")
        return cls(file)

    @classmethod
    def go_on(cls, path: Path, key: str, shards: Sequence[Shard], folder: Path) -> tuple[Self, Written]:
        """Opens a journal, and returns what the files hold of what it says.

        What is there beyond that is deleted.  A journal of something else begins anew.
        """
        digests = _read(path, key)
        written = Written() if digests is None else _verify(digests, shards, folder)
        _cut(folder, shards, written)
        if digests is None:
            return cls.begin(path, key), written
        file = path.open("r+b", buffering=0)
        file.truncate(len(key) + 1 + written.tensors * (_DIGEST + 1))
        file.seek(0, os.SEEK_END)
        return cls(file), written

    def note(self, digest: str) -> None:
        """Remembers that one more tensor is complete."""
        if self._file is not None:
            self._file.write(digest.encode() + b"\n")

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()


def _read(path: Path, key: str) -> list[str] | None:
    """Returns a journal's digests; None where there is none, or one of another merge."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return None
    if lines[0] != key.encode():
        return None
    return [line.decode("ascii", "replace") for line in lines[1:-1]]


def _verify(digests: Sequence[str], shards: Sequence[Shard], folder: Path) -> Written:
    """Hashes the files again, as far as they say what the journal says."""
    written = Written()
    for shard in shards:
        before = written.tensors
        if not (folder / shard.name).is_file():
            return written
        _verify_file(digests, shard, folder / shard.name, written)
        if written.tensors - before < len(shard.tensors):
            return written
        written.complete.add(shard.name)
        written.length = 0
    return written


def _verify_file(digests: Sequence[str], shard: Shard, path: Path, written: Written) -> None:
    header = shard.header()
    with path.open("rb", buffering=0) as file:
        if file.read(len(header)) != header:
            return
        position = len(header)
        for stored in shard.tensors:
            hashed = hashlib.sha256()
            if written.tensors == len(digests) or _hash(file, stored.bytes, hashed) < stored.bytes:
                return
            if hashed.hexdigest() != digests[written.tensors]:
                return
            position += stored.bytes
            written.digests[stored.name] = hashed.hexdigest()
            written.length = position


def _hash(file: Any, count: int, hashed: Any) -> int:  # noqa: ANN401 - hashlib's objects
    """Hashes the next `count` bytes; returns how many there were."""
    left = count
    while left:
        content = file.read(min(left, _AT_ONCE))
        if not content:
            break
        hashed.update(content)
        left -= len(content)
    return count - left


def _cut(folder: Path, shards: Sequence[Shard], written: Written) -> None:
    """Deletes what is beyond the last complete tensor."""
    begun = next((shard.name for shard in shards if shard.name not in written.complete), None)
    for path in folder.iterdir():
        if path.name == begun and written.length:
            os.truncate(path, written.length)
        elif path.name not in written.complete:
            path.unlink()
