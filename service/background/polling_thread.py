"""PollingThread: looks for work, does it, looks again; the runner and the exporter are two of them."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from abc import ABC, abstractmethod

import structlog

LONGEST_PAUSE = 30.0  # seconds between two tries, after several have failed

logger = structlog.get_logger()


class PollingThread(ABC):
    """A thread that does one piece of work after the other, and waits while there is none.

    Attributes:
        owner: Names this thread in leases; no two are alike.
        trouble: Why the last piece of work was broken off, to be tried again (the database is away, the
            disk is full); None once one was not.
    """

    def __init__(self, name: str, *, pause: float) -> None:
        """Takes the thread's name, and the seconds between two looks while there is nothing to do."""
        self.owner = f"{socket.gethostname()[:100]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._pause = pause
        self._stopping, self._something_to_do = threading.Event(), threading.Event()
        self.trouble: str | None = None
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    @abstractmethod
    def run_next(self) -> bool:
        """Does the oldest piece of work that waits; returns whether there was any."""

    def start(self) -> None:
        """Begins to look for work."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Has it stop looking, and does not wait until it has."""
        self._stopping.set()
        self.wake()

    def stop(self, timeout: float = 10.0) -> None:
        """Stops looking; what is not done after `timeout` seconds is left to another controller."""
        self.ask_to_stop()
        if self.is_alive:
            self._thread.join(timeout)

    def wake(self) -> None:
        """Has it look for work now."""
        self._something_to_do.set()

    @property
    def is_alive(self) -> bool:
        """Says whether work is being looked for."""
        return self._thread.is_alive()

    def _serve(self) -> None:
        failures = 0  # in a row
        while not self._stopping.is_set():
            self._something_to_do.clear()
            try:
                busy = self.run_next()
                self.trouble, failures = None, 0
            except Exception as error:  # the database may be away: the lease lets the work be done again
                logger.exception("work_interrupted", thread=self._thread.name)
                busy, failures = False, failures + 1
                self.trouble = _said_by(error)
            if not busy:
                self._something_to_do.wait(min(self._pause * 2 ** min(failures, 10), LONGEST_PAUSE))


def _said_by(error: Exception) -> str:
    """Returns what went wrong in one line; of the database's errors without the statement."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    return said[0][:300] if said else type(error).__name__
