"""Says that something slow is still going on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from service.cli.terminal.output import note

FIRST_SECONDS, NEXT_SECONDS = 3.0, 15.0  # until the first line, and between two


@contextmanager
def still(doing: str) -> Iterator[None]:
    """Writes a line every so often for as long as the block takes."""
    over = threading.Event()
    started = time.monotonic()

    def tell() -> None:
        pause = FIRST_SECONDS
        while not over.wait(pause):
            note(f"still {doing} ({time.monotonic() - started:.0f} s)")
            pause = NEXT_SECONDS

    thread = threading.Thread(target=tell, name="evomerge-still", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
