"""Gate: several threads use something at once, until one thread takes it down."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Counts the threads inside; once shut, it lets none in.  Uses are short: shutting waits for them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._shut: Exception | None = None

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Lets a thread in.  Raises what `shut` was given, once it was."""
        with self._changed:
            if self._shut is not None:
                raise self._shut
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def shut(self, why: Exception, *, patience: float) -> None:
        """Lets none in any more, and waits, for at most `patience` seconds, until all are out."""
        with self._changed:
            self._shut = why
            self._changed.wait_for(lambda: not self._inside, timeout=patience)
