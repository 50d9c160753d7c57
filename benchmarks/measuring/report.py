"""How a benchmark measures and what it prints."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Self


@dataclass(frozen=True, slots=True)
class Samples:
    """Seconds of repeated runs."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the slowest and the fastest, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / 2 / self.median if self.median else 0.0


def interleaved(repeats: int, *runs: Callable[[], float]) -> list[Samples]:
    """Runs A B A B ..., so that a machine that slows down does so for both.

    Each run returns the seconds that count, its own set-up left out.
    """
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for place, run in enumerate(runs):
            seconds[place].append(run())
    return [Samples(tuple(s)) for s in seconds]


def timed(run: Callable[[], object]) -> Callable[[], float]:
    """Returns a run that measures all of itself."""

    def measure() -> float:
        start = perf_counter()
        run()
        return perf_counter() - start

    return measure


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints aligned columns."""
    cells = [[str(c) for c in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    print(f"\n{title}")
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


class Record:
    """Collects what a benchmark prints, for a section of RESULTS.md."""

    def __init__(self) -> None:
        self._terminal = sys.stdout
        self._lines: list[str] = []

    def write(self, text: str) -> int:
        """Shows the text, and keeps it."""
        self._lines.append(text)
        return self._terminal.write(text)

    def isatty(self) -> bool:
        """Says that colours would end up in the record."""
        return False

    def flush(self) -> None:
        """Shows everything now."""
        self._terminal.flush()

    def __enter__(self) -> Self:
        sys.stdout = self
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout = self._terminal

    def append_to(self, results: Path, title: str, command: str) -> None:
        """Adds a section with the date, the device, the command and what it printed."""
        today = datetime.now(UTC).date().isoformat()
        said = "".join(self._lines).strip()
        section = f"\n## {title}, {today}\n\n{device()}. `{command}`\n\n```\n{said}\n```\n"
        with results.open("a", encoding="utf-8") as file:
            file.write(section)


def device() -> str:
    """Names what the benchmark ran on."""
    processor = platform.processor() or platform.machine()
    for line in _lines_of(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
            break
    load = f"load {os.getloadavg()[0]:.1f} at the end"
    return f"{os.cpu_count()} cores ({processor}), {load}, Python {platform.python_version()}"


def _lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []


def print_result(
    ratios: Mapping[str, float], *, limit: Mapping[str, object], spread: Mapping[str, float], **more: object
) -> None:
    """Prints the last line: one JSON object with ratios (peer's time over ours), limit and spread."""
    machine = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2), "processor": platform.machine()}
    result = {
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
        "limit": dict(limit),
        "spread": {name: round(value, 3) for name, value in spread.items()},
        "machine": machine,
        **more,
    }
    print(json.dumps(result))
