"""Guesses: wrong keys by address, so that they cannot be tried by the thousand."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from time import monotonic

MOST_GUESSES = 10  # wrong keys from one address
WINDOW_SECONDS = 60.0  # within which they count
MOST_ADDRESSES = 10_000


class Guesses:
    """Counts the wrong keys of each address within a minute; forgets the addresses longest silent."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._moments: OrderedDict[str, deque[float]] = OrderedDict()

    def note(self, address: str) -> None:
        """Takes in a wrong key."""
        self._moments.setdefault(address, deque(maxlen=MOST_GUESSES)).append(self._clock())
        self._moments.move_to_end(address)
        while len(self._moments) > MOST_ADDRESSES:
            self._moments.popitem(last=False)

    def wait(self, address: str) -> int:
        """Returns for how many seconds no key of this address is looked at; 0 where it is now."""
        moments = self._moments.get(address)
        if moments is None or len(moments) < MOST_GUESSES:
            return 0
        return max(math.ceil(moments[0] + WINDOW_SECONDS - self._clock()), 0)
