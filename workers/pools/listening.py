"""Listening: something long is done on a thread of its own, while the caller asks whether it still may."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import TypeVar

from workers.errors import JobTimeoutError, WorkInterruptedError

GLANCE = 0.1  # seconds between two questions

T = TypeVar("T")


def listening(work: Callable[[], T], interrupted: Callable[[], bool], *, seconds: float = float("inf")) -> T:
    """Returns what `work` returns, or raises what it raises.

    A thread cannot be killed: work that is given up goes on for nothing until it ends by itself.

    Raises:
        WorkInterruptedError: `interrupted` said so.
        JobTimeoutError: The time is up.
    """
    done: Future[T] = Future()

    def do() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            done.set_exception(error)

    threading.Thread(target=do, name="evomerge-work", daemon=True).start()
    await_done(done, interrupted, seconds=seconds)
    return done.result()


def await_done(done: Future[T], interrupted: Callable[[], bool], *, seconds: float = float("inf")) -> None:
    """Waits until something is done, well or not.

    Raises:
        WorkInterruptedError: `interrupted` said so.
        JobTimeoutError: The time is up.
    """
    end = monotonic() + seconds
    while not _is_done_within(done, GLANCE):
        if interrupted():
            raise WorkInterruptedError
        if monotonic() > end:
            raise JobTimeoutError(seconds)


def _is_done_within(done: Future[T], seconds: float) -> bool:
    try:
        done.exception(timeout=seconds)
    except TimeoutError:
        return False
    return True


def take_turn(turn: threading.Lock, interrupted: Callable[[], bool], *, seconds: float) -> None:
    """Takes a lock, for as long as it may be waited for.

    Raises:
        WorkInterruptedError: `interrupted` said so.
        JobTimeoutError: The time is up.
    """
    end = monotonic() + seconds
    while not turn.acquire(timeout=GLANCE):
        if interrupted():
            raise WorkInterruptedError
        if monotonic() > end:
            raise JobTimeoutError(seconds)
