"""How far a merge is, on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from service.cli.terminal.output import note_console
from service.cli.terminal.units import size


class ProgressBar:
    """Shows a bar with bytes, rate and the time that is left.  The writer's thread calls it."""

    def __init__(self) -> None:
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._progress = Progress(TextColumn("merging"), *columns, console=note_console())
        self._task = self._progress.add_task("", start=False)
        self._total, self._tensors = 0, 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def announced(self, total: int) -> None:
        """Takes how many bytes there will be."""
        self._total = total
        self._progress.update(self._task, total=total)

    def written(self, tensors: int, count: int) -> None:
        """Takes how many tensors and bytes are written."""
        if self._tensors == 0 and tensors > 1:  # what was there before is not part of the rate
            self._progress.reset(self._task, start=True, total=self._total, completed=count)
            self._progress.console.print(f"going on after {tensors} tensors, {size(count)}")
        elif self._tensors == 0:
            self._progress.start_task(self._task)
        self._tensors = tensors
        self._progress.update(self._task, completed=count)
