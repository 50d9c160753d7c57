"""Work on several stretches or tensors at once, with as many threads as torch may use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Protocol, TypeVar

import torch

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Map(Protocol):
    """How work is done for several items: `one_by_one` or `together`."""

    def __call__(self, work: Callable[[_Item], _Result], items: Iterable[_Item], /) -> list[_Result]:
        """Returns the results in the items' order."""
        ...


STRETCH = 1 << 20
"""Numbers that one thread treats at a time.  Sums are taken stretch by stretch, and then over the
stretches in order: so the number of threads changes no bit.
"""


def one_by_one(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Does the work here, in order."""
    return [work(item) for item in items]


def together(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Does the work in several threads; returns the results in the items' order.

    When it fails for some items, all others are finished, and the first's error is raised.
    """
    listed, threads = list(items), torch.get_num_threads()
    if threads == 1 or len(listed) < 2:
        return one_by_one(work, listed)
    waiting = [_pool(threads).submit(work, item) for item in listed]
    wait(waiting)
    return [done.result() for done in waiting]


def begin(work: Callable[[], _Result]) -> Future[_Result]:
    """Has another thread do the work, or does it here where there is but one.

    The work must not wait for threads itself: `one_by_one` is how it may go through stretches.
    """
    if torch.get_num_threads() > 1:
        return _pool(torch.get_num_threads()).submit(work)
    done: Future[_Result] = Future()
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised where the result is asked for, as threads do
        done.set_exception(error)
    return done


def stretches(count: int) -> range:
    """Returns where the stretches of so many numbers begin."""
    return range(0, count, STRETCH)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="merge")
