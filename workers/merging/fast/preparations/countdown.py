"""Countdown: says in the log how far a long preparation is, and about how long it will take."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock
from time import monotonic

PAUSE = 10.0
"""Seconds between two lines, and before the first: what takes less goes without."""

_log = logging.getLogger(__name__)


class Countdown:
    """Counts the tensors of a model that are done; several threads may."""

    def __init__(
        self, what: str, total: int, clock: Callable[[], float] = monotonic, *, entries: int | None = None
    ) -> None:
        """Starts the clock.

        Args:
            what: Is being done, such as `tsvm prepares`.
            total: How many tensors there are.
            clock: Tells seconds.
            entries: How many these have together: what is left is foretold by them, because the large
                ones come first; None takes all tensors for alike.
        """
        self._what, self._total, self._clock = what, total, clock
        self._work, self._worked = total if entries is None else max(entries, 1), 0
        self._done, self._lock = 0, Lock()
        self._start = self._said = clock()

    def step(self, entries: int = 1) -> None:
        """Counts one more tensor, of so many entries."""
        with self._lock:
            self._done += 1
            self._worked += entries
            now = self._clock()
            if now - self._said < PAUSE or self._done == self._total:
                return
            self._said = now
            left = (now - self._start) / max(self._worked, 1) * (self._work - self._worked)
        _log.warning("%s %d of %d tensors, about %.0f s left", self._what, self._done, self._total, left)
