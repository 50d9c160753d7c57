"""How far a merge is, where remarks go: a bar on a terminal, lines in logs, or nothing."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from service.cli.terminal.loudness import LOUDNESS
from service.cli.terminal.output import note
from service.cli.terminal.units import duration, size

if TYPE_CHECKING:
    from service.cli.terminal.progress_bar import ProgressBar

BETWEEN_LINES = 2.0  # seconds between two lines of progress where there is no terminal


def progress() -> ProgressBar | ProgressLines | Silence:
    """Returns what shows how far a merge is."""
    if LOUDNESS.is_quiet:
        return Silence()
    if not sys.stderr.isatty():
        return ProgressLines()
    from service.cli.terminal.progress_bar import ProgressBar  # slow to import, and of no use in logs

    return ProgressBar()


class Silence:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Has nothing to tidy up."""

    def announced(self, total: int) -> None:
        """Takes how many bytes there will be."""

    def written(self, tensors: int, count: int) -> None:
        """Takes how many tensors and bytes are written."""


class ProgressLines(Silence):
    """Says now and then how far a merge is: for logs and pipes.  The writer's thread calls it.

    Rate and remaining time are counted from the first tensor on: before it, code is loaded and compiled.
    """

    def __init__(self) -> None:
        self._total, self._tensors = 0, 0
        self._began = self._said = time.monotonic()
        self._found = 0  # bytes that were written when counting began

    def announced(self, total: int) -> None:
        """Takes how many bytes there will be."""
        self._total = total
        note(f"merging: {size(total)} to write")

    def written(self, tensors: int, count: int) -> None:
        """Takes how many tensors and bytes are written."""
        now = time.monotonic()
        if self._tensors == 0:
            self._began, self._said, self._found = now, now, count
            if tensors > 1:
                note(f"going on after {tensors} tensors, {size(count)}")
        self._tensors = tensors
        if now - self._said < BETWEEN_LINES:
            return
        self._said = now
        note(self._line(count, now - self._began))

    def _line(self, count: int, seconds: float) -> str:
        share = 100 * count // max(self._total, 1)
        told = f"merging: {share} %, {size(count)} of {size(self._total)}"
        rate = (count - self._found) / seconds if seconds > 0 else 0.0
        if rate <= 0:
            return told
        return f"{told}, {size(round(rate))}/s, {duration((self._total - count) / rate)} left"
