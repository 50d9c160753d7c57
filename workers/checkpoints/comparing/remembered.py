"""What comparisons of checkpoints found, kept in the user's cache as long as no file changes.  Torch-free."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from workers.checkpoints.layout import Layout
from workers.checkpoints.record_files import ELSEWHERE

_VERSION = 1


def remembered(layout: Layout, base: Layout) -> frozenset[str] | None:
    """Returns the tensors that were found equal; None where nothing is known of these files as they are."""
    with suppress(OSError, ValueError):
        content = json.loads(_file(layout, base).read_text(encoding="utf-8"))
        if isinstance(content, list) and all(name in layout.tensors for name in content):
            return frozenset(content)
    return None


def remember(layout: Layout, base: Layout, found: frozenset[str]) -> None:
    """Keeps what was found; that it fails is no error, because it only saves time."""
    path = _file(layout, base)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
            file.write(json.dumps(sorted(found)))
        Path(file.name).replace(path)


def _file(layout: Layout, base: Layout) -> Path:
    root = os.environ.get(ELSEWHERE) or Path.home() / ".cache" / "evomerge" / "records"
    told = json.dumps([_VERSION, list(_states(layout)), list(_states(base))])
    digest = hashlib.sha256(told.encode()).hexdigest()
    return Path(root).expanduser() / "unchanged" / f"{digest[:32]}.json"


def _states(layout: Layout) -> Iterator[tuple[str, int, int]]:
    """Yields the files that hold a checkpoint's weights, with size and time of change."""
    for file in sorted({entry.file.resolve() for entry in layout.tensors.values()}):
        status = file.stat()
        yield str(file), status.st_size, status.st_mtime_ns
