"""SHA-256 of parents' files: known to the Hub's cache by their names, else read once per process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from search_spaces import Parent
from workers.checkpoints.layout import Layout
from workers.checkpoints.tensor_digests import sha256_of

_BLOB = re.compile(r"[0-9a-f]{64}")
_known: dict[tuple[str, int, int], str] = {}  # by path, size and time of change


class ContentHashes:
    """The files of all parents, being hashed beside a merge."""

    def __init__(self, layouts: Mapping[Parent, Layout]) -> None:
        self._layouts = layouts
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="evomerge-parents-hasher")
        self._hashes: dict[Parent, dict[str, Future[str]]] = {}

    def __enter__(self) -> Self:
        for parent, layout in self._layouts.items():
            files = weight_files(layout)
            self._hashes[parent] = {path.name: self._pool.submit(content_hash, path) for path in files}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def of(self, parent: Parent) -> dict[str, str]:
        """Returns the hashes of a parent's files of weights, by name; waits for them."""
        return {name: future.result() for name, future in self._hashes[parent].items()}


def weight_files(layout: Layout) -> list[Path]:
    """Returns the files that a parent's weights lie in, those of its adapter too."""
    entries = list(layout.tensors.values())
    files = {entry.file for entry in entries}
    files |= {entry.change.file for entry in entries if entry.change is not None}
    return sorted(files)


def content_hash(path: Path) -> str:
    """Returns a file's SHA-256; of one in the Hub's cache it is the name of what it links to."""
    target = path.resolve()
    if path.is_symlink() and _BLOB.fullmatch(target.name) and target.parent.name == "blobs":
        return target.name
    found = target.stat()
    key = (str(target), found.st_size, found.st_mtime_ns)
    if key not in _known:
        _known[key] = sha256_of(target)
    return _known[key]
