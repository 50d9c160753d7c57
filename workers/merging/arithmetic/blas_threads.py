"""How many threads the libraries of linear algebra use: one, where the bits must not depend on it.

Several decompositions may run beside each other, each in a thread of a pool.  torch's setting is partly
the thread's own and partly the process's: threads of a pool set it to one and leave it, and where the
pool is waited for, it is set back.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_HERE = threading.local()


def share_processor() -> None:
    """Marks this thread as one of several that work beside each other."""
    _HERE.shared = True


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets torch use one thread: with more, decompositions on a processor round otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        if not getattr(_HERE, "shared", False):
            torch.set_num_threads(before)
