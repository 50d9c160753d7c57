"""Work on several stretches or tensors at once, with as many threads as torch may use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Protocol, TypeVar

import torch

from workers.merging.arithmetic.blas_threads import share_processor

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
    return at_most(None)(work, items)


def at_most(count: int | None) -> Map:
    """Returns `together` with no more than so many items at once; None sets no limit."""

    def limited(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        listed, threads = list(items), torch.get_num_threads()
        if threads == 1 or len(listed) < 2 or count == 1:
            return one_by_one(work, listed)
        done: list[Future[_Result]] = [Future() for _ in listed]
        left = iter(zip(done, listed, strict=True))  # whichever thread is free takes the next

        def take() -> None:
            for future, item in left:
                _carry_out(future, work, item)

        try:
            taking = [_pool(threads).submit(take) for _ in range(min(threads, count or threads, len(listed)))]
            wait(taking)
        finally:
            torch.set_num_threads(threads)  # decompositions leave one
        return [one.result() for one in done]

    return limited


def begin(work: Callable[[], _Result]) -> Future[_Result]:
    """Has another thread do the work, or does it here where there is but one.

    The work must not wait for threads itself: `one_by_one` is how it may go through stretches.
    """
    if torch.get_num_threads() > 1:
        return _pool(torch.get_num_threads()).submit(work)
    done: Future[_Result] = Future()
    _carry_out(done, lambda _: work(), None)
    return done


def _carry_out(done: Future[_Result], work: Callable[[_Item], _Result], item: _Item) -> None:
    """Does the work here; what it raises is raised where the result is asked for, as threads do."""
    try:
        done.set_result(work(item))
    except BaseException as error:  # noqa: BLE001
        done.set_exception(error)


def stretches(count: int) -> range:
    """Returns where the stretches of so many numbers begin."""
    return range(0, count, STRETCH)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="merge", initializer=share_processor)
