"""What every bad input must meet: a refusal in words, soon, with little memory, and nothing written."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

from typer.testing import CliRunner

from service.cli.program import app

SECONDS = 5.0  # of processor time, tracing included
BYTES = 200 * 2**20


def refusal(*arguments: str, within: Path) -> str:
    """Returns what a command says that must be refused.

    Args:
        arguments: The command.
        within: A folder in which nothing may change.
    """
    before = contents(within)
    tracemalloc.start()
    started = time.process_time()
    try:
        result = CliRunner().invoke(app, list(arguments))
        seconds, peak = time.process_time() - started, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.exit_code not in (0, None), result.output
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    assert contents(within) == before
    assert seconds < SECONDS
    assert peak < BYTES
    return " ".join(result.output.split())


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Returns what lies in a folder: names, with sizes and times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[str(path.relative_to(folder))] = (status.st_size, status.st_mtime_ns if path.is_file() else 0)
    return found
