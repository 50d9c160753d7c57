"""Python's search for cyclic garbage, which has nothing to find in a history that is taken in."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_waiting() -> Iterator[None]:
    """Has the collector wait to the end of the block: else it looks all over at every further thousand.

    It is one for the whole process: of blocks that overlap, the first that ends has it go on.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
