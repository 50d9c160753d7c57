"""Threads that look for work, and what they say when it cannot be done."""

from __future__ import annotations

import threading

from sqlalchemy.exc import OperationalError

from service.background.polling_thread import PollingThread
from tests.service.running import wait_for


class Full(PollingThread):
    """Finds the disk full until there is room."""

    def __init__(self) -> None:
        super().__init__("full", pause=0.01)
        self.room = threading.Event()

    def run_next(self) -> bool:
        if not self.room.is_set():
            raise OperationalError("INSERT INTO t VALUES (?)", ("secret",), Exception("disk is full"))
        return False


def test_work_that_is_broken_off_says_why_without_the_statement_until_it_succeeds() -> None:
    thread = Full()
    thread.start()
    wait_for(lambda: thread.trouble is not None, "the trouble")
    assert thread.trouble == "disk is full"
    thread.room.set()
    thread.wake()
    wait_for(lambda: thread.trouble is None, "the end of the trouble")
    thread.stop()
