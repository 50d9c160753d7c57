"""Faults: what is done to controllers and their database while a search goes on.

Each starts the controllers that it needs, the last of which lives on.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.breaking.controller import LEASE_SECONDS
from benchmarks.breaking.field import Field
from benchmarks.breaking.proxy import CuttingProxy

LONGEST = 180.0  # seconds, that a fault waits for the search
Fault = Callable[[Field], None]


def killed(on: Field) -> None:
    """Kills a controller at a random moment, and another after it."""
    for _ in range(2):
        process = on.start()
        on.pause()
        process.kill()
        process.wait()
    on.start()


def killed_at_a_place(on: Field) -> None:
    """Has a controller die at one begin or commit of a transaction."""
    process = on.start(database={"kill_at": on.rng.randrange(1, 80)})
    deadline = time.monotonic() + LEASE_SECONDS * 5
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    on.start()


def frozen(on: Field) -> None:
    """Stops a controller until another one has long taken over, and lets it go on."""
    process = on.start()
    on.pause()
    process.send_signal(signal.SIGSTOP)
    on.start()
    time.sleep(LEASE_SECONDS * 3)
    process.send_signal(signal.SIGCONT)


def unsure_after_commit(on: Field) -> None:
    """Has a controller be told an error where a commit took place."""
    on.start(database={"fail_after_commit": on.rng.randrange(2, 40)})


def cut_after_commit(on: Field) -> None:
    """Cuts a controller's connection between a commit and its answer, by a proxy in between."""
    with (
        TemporaryDirectory(prefix="proxy-") as folder,
        CuttingProxy(on.url, Path(folder), cut=on.rng.randrange(2, 40)) as proxy,
    ):
        on.start(proxy.url)
        proxy.has_cut.wait(LONGEST)
        on.has_ended(time.monotonic() + LONGEST)


def two_controllers(on: Field) -> None:
    """Starts two, and kills the first of them."""
    first = on.start()
    on.start()
    on.pause()
    first.kill()


def _postgres_ended(how: signal.Signals) -> Fault:
    def fault(on: Field) -> None:
        on.start()
        for _ in range(2):
            on.pause()
            on.server.restart(how)

    return fault


def _workers(manner: str) -> Fault:
    def fault(on: Field) -> None:
        on.start(manner=manner)

    return fault


def pool_exhausted(on: Field) -> None:
    """Has others take all connections of a controller's pool, for longer than it waits for one."""
    on.start(database={"exhausted": on.rng.randrange(5, 40), "seconds": 15.0})


def disk_full(on: Field) -> None:
    """Has the database's disk be full for a while."""
    on.start(database={"full": on.rng.randrange(5, 40), "seconds": 5.0})


FAULTS: Mapping[str, Fault] = {
    "killed": killed,
    "killed_at_a_place": killed_at_a_place,
    "frozen": frozen,
    "unsure_after_commit": unsure_after_commit,
    "cut_after_commit": cut_after_commit,
    "two_controllers": two_controllers,
    "postgres_restarted": _postgres_ended(signal.SIGINT),
    "postgres_stopped_at_once": _postgres_ended(signal.SIGQUIT),
    "postgres_killed": _postgres_ended(signal.SIGKILL),
    "workers_lost_and_lying": _workers("lost_or_lied"),
    "workers_without_numbers": _workers("no_numbers"),
    "pool_exhausted": pool_exhausted,
    "disk_full": disk_full,
}
