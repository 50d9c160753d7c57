"""Places: how many experiments a controller runs at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

T = TypeVar("T")


def _one() -> int:
    return 1


def _nothing() -> None:
    pass


class Places:
    """Counts the experiments that run, and lets one runner at a time look for another.

    Args:
        limit: Says how many there may be.
        taken: Called whenever one more runs.
        interval: Seconds between two looks that found nothing, however many runners look.
    """

    def __init__(
        self,
        limit: Callable[[], int] = _one,
        taken: Callable[[], None] = _nothing,
        *,
        interval: float = 0.0,
    ) -> None:
        self._limit, self._on_taken, self._interval = limit, taken, interval
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self.taken = 0

    def take(self, find: Callable[[], T | None]) -> T | None:
        """Returns what `find` found, for which a place is taken; None where there is no place, or nothing."""
        with self._lock:
            if self.taken >= self._limit() or monotonic() - self._looked < self._interval:
                return None
            found = find()
            if found is None:
                self._looked = monotonic()
                return None
            self.taken += 1
        self._on_taken()
        return found

    def give_back(self) -> None:
        """Frees a place."""
        with self._lock:
            self.taken -= 1

    def look_again(self) -> None:
        """Has the next runner look, however short ago the last one did."""
        self._looked = float("-inf")
