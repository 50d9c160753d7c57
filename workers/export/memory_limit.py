"""A limit on a merge's memory: what the process holds already, and what is left for tensors."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from workers.checkpoints.writing.shard_writer import QUEUED
from workers.errors import ExportError

_SMALLEST_BUDGET = 32 * 2**20
_UNITS = ((1e9, "GB"), (1e6, "MB"))


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """A limit on the process's memory, and what is left of it for tensors; None is no limit."""

    limit: int | None = None
    left: int | None = None

    @property
    def queued(self) -> int:
        """Bytes of results that may wait for the disk."""
        return QUEUED if self.left is None else min(QUEUED, self.left // 8)


def within_limit(limit: int | None) -> MemoryLimit:
    """Returns what a limit leaves for tensors, beside what the process holds already.

    Raises:
        ExportError: It leaves nothing.
    """
    if limit is None:
        return MemoryLimit()
    held = resident_bytes()
    if limit - held < _SMALLEST_BUDGET:
        raise ExportError(
            "memory limit",
            f"{in_words(limit)} is too little: the program alone takes {in_words(held)}",
            f"allow {in_words(held + 8 * _SMALLEST_BUDGET)} or more",
        )
    return MemoryLimit(limit, limit - held)


def resident_bytes() -> int:
    """Returns the memory that the process has resident, or the most it ever had where only that is known."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * os.sysconf("SC_PAGE_SIZE")


def in_words(count: float) -> str:
    """Returns a number of bytes as people say it."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.2f} {name}"
    return f"{count:.0f} bytes"
