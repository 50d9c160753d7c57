"""Controllers that die: at the n-th thing they do with the database or the workers, and for good."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event, text

from service.store.database import Database
from tests.service.scripted_workforce import ScriptedWorkforce
from workers.protocol.messages import Assignment, Interrupted, Outcome, Workload, never


class Killed(BaseException):
    """The process is gone."""


class Fuse:
    """Burns down with every step; afterwards every step kills, as nothing follows a SIGKILL."""

    def __init__(self, steps: int | None) -> None:
        self.steps = steps
        self.taken = 0

    def step(self, *_: Any) -> None:
        """Dies if the time has come."""
        self.taken += 1
        if self.steps is not None and self.taken >= self.steps:
            raise Killed


@contextmanager
def mortal(database: Database, fuse: Fuse) -> Iterator[None]:
    """Lets every beginning and every commit of a transaction be a step."""
    names = ("begin", "commit")
    for name in names:
        event.listen(database.engine, name, fuse.step)
    try:
        yield
    finally:
        for name in names:
            event.remove(database.engine, name, fuse.step)


class MortalWorkforce(ScriptedWorkforce):
    """Lets everything that is asked of the workers be a step."""

    def __init__(self, fuse: Fuse, **options: Any) -> None:
        super().__init__(**options)
        self.fuse = fuse

    def prepare(self, workload: Workload, interrupted: Interrupted = never) -> None:
        """Dies, or readies the workers."""
        self.fuse.step()
        super().prepare(workload, interrupted)

    def submit(self, assignment: Assignment) -> None:
        """Dies, or takes an assignment."""
        self.fuse.step()
        super().submit(assignment)

    def next_outcome(self, timeout: float) -> Outcome | None:
        """Dies, or answers."""
        self.fuse.step()
        return super().next_outcome(timeout)


def end_all_leases(database: Database) -> None:
    """Does what waiting would do."""
    with database.session() as session:
        session.execute(text("UPDATE experiments SET lease_until = 0 WHERE lease_owner IS NOT NULL"))
