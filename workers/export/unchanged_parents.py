"""The files that parents' weights lie in, as they were before a merge: none may change while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from workers.checkpoints.layout import Layout
from workers.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class ParentFiles:
    """Device, inode, size in bytes and time of change in ns of every file, by path."""

    states: Mapping[str, str]

    @classmethod
    def of(cls, layouts: Iterable[Layout]) -> Self:
        """Returns the files as they are now.

        Raises:
            CheckpointError: One cannot be read.
        """
        entries = [entry for layout in layouts for entry in layout.tensors.values()]
        paths = {entry.file for entry in entries} | {e.change.file for e in entries if e.change is not None}
        return cls({str(path): _state(path) for path in sorted(paths)})

    def check_unchanged(self) -> None:
        """Refuses what was merged while a parent was being replaced.

        Raises:
            CheckpointError: Names the file.
        """
        for path, before in self.states.items():
            if _state(Path(path)) != before:
                raise CheckpointError(
                    path, "changed while it was being merged", "merge again when no process writes to it"
                )


def _state(path: Path) -> str:
    try:
        found = path.stat()
    except OSError as error:
        raise CheckpointError(
            str(path), f"cannot be read ({error.strerror})", "leave the parents where they are"
        ) from error
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"
