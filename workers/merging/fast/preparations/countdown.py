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

    def __init__(self, what: str, total: int, clock: Callable[[], float] = monotonic) -> None:
        """Starts the clock.

        Args:
            what: Is being done, such as `tsvm prepares`.
            total: How many tensors there are.
            clock: Tells seconds.
        """
        self._what, self._total, self._clock = what, total, clock
        self._done, self._lock = 0, Lock()
        self._start = self._said = clock()

    def step(self) -> None:
        """Counts one more."""
        with self._lock:
            self._done += 1
            now = self._clock()
            if now - self._said < PAUSE or self._done == self._total:
                return
            self._said = now
            left = (now - self._start) / self._done * (self._total - self._done)
        _log.warning("%s %d of %d tensors, about %.0f s left", self._what, self._done, self._total, left)
