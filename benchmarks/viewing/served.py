"""The dashboard in a process of its own, so that its memory and processor time are its alone.

    python -m benchmarks.viewing.served HOME

Prints the address and waits until its input ends.  `served` starts it and ends it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from service.background.duties import NO_DUTIES
from service.cli.installation.server import embedded_server
from service.settings import Settings
from service.web.app import create_app


@dataclass(frozen=True, slots=True)
class ServedProcess:
    """A server that answers at an address."""

    url: str
    process: psutil.Process

    @property
    def cpu_seconds(self) -> float:
        """What it and its children have taken of the processor so far."""
        each = [self.process, *self.process.children(recursive=True)]
        return sum(sum(one.cpu_times()[:2]) for one in each)

    @property
    def memory_mb(self) -> float:
        """What it holds of the memory now, with its children."""
        each = [self.process, *self.process.children(recursive=True)]
        return float(sum(one.memory_info().rss for one in each)) / 1e6


@contextmanager
def served(home: Path) -> Iterator[ServedProcess]:
    """Serves a home's database from another process for the length of the block."""
    command = [sys.executable, "-m", "benchmarks.viewing.served", str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        if running.stdout is None or running.stdin is None:
            raise RuntimeError("the server has no pipes")
        try:
            yield ServedProcess(running.stdout.readline().strip(), psutil.Process(running.pid))
        finally:
            running.stdin.close()


def main() -> None:
    """Serves until the input ends."""
    settings = Settings(home=Path(sys.argv[1]), port=0, workforce="inline", workers=1)
    with embedded_server(settings, lambda chosen: create_app(chosen, duties=NO_DUTIES)) as embedded:
        print(embedded.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
