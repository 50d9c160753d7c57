"""A controller as a process of its own, with workers that answer soon, and with faults inside it.

    python -m benchmarks.breaking.controller URL OPTIONS

OPTIONS is a JSON object: `kill_at` (the begin or commit of a transaction, counted from 1, at which it sends
itself SIGKILL), `fail_after_commit` (the commit after which the connection breaks, so that the controller
does not learn that it took place), `pace` (seconds until an answer) and `mischief` (workers that are lost,
and that answer what they were not asked).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any
from uuid import uuid4

from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from benchmarks.storing.instant_workforce import InstantWorkforce
from service.controller.runner import Runner
from service.log import configure_logging
from service.settings import Settings
from service.store.database import Database
from workers.protocol.failure import Failure
from workers.protocol.messages import Assignment, Failed, Outcome

LEASE_SECONDS = 2.0
OBJECTIVES = ("sphere", "plane")
SLOTS = 4


class PacedWorkforce(InstantWorkforce):
    """Answers after a while, and where it is up to mischief loses and lies."""

    def __init__(self, *, pace: float = 0.0, mischief: bool = False) -> None:
        super().__init__(SLOTS, OBJECTIVES)
        self.pace, self.mischief = pace, mischief

    def submit(self, assignment: Assignment) -> None:
        """Scores the assignment, or loses it the first time, or answers something else besides."""
        key, attempt = assignment.candidate, assignment.attempt
        if self.mischief and assignment.number % 5 == 1 and attempt == 1:
            failure = Failure("worker_lost", "its process ended", "", retryable=True)
            self._outcomes.append(Failed(key, attempt, failure, "lost"))
            return
        if self.mischief and assignment.number % 5 == 2:
            self._outcomes.append(Failed(uuid4(), attempt, Failure("lie", "never asked for", ""), "liar"))
        super().submit(assignment)

    def next_outcome(self, timeout: float) -> Outcome | None:
        """Returns the next answer, after a while."""
        time.sleep(self.pace if self._outcomes and timeout else min(timeout, 0.01))
        return super().next_outcome(timeout)


class Faults:
    """Counts what is done with the database, and breaks it at the place that was named."""

    def __init__(self, kill_at: int | None = None, fail_after_commit: int | None = None) -> None:
        self.kill_at, self.fail_after_commit = kill_at, fail_after_commit
        self.steps = self.commits = 0

    def watch(self, database: Database) -> None:
        """Has every begin and every commit of the database counted."""
        event.listen(database.engine, "begin", self._step)
        event.listen(database.engine, "commit", self._step)
        dialect: Any = database.engine.dialect
        commit = dialect.do_commit

        def committed(connection: Any) -> None:  # noqa: ANN401 - the driver's
            commit(connection)
            self.commits += 1
            if self.commits == self.fail_after_commit:
                raise OperationalError("COMMIT", None, ConnectionError("cut after COMMIT"))

        dialect.do_commit = committed

    def _step(self, *_: object) -> None:
        self.steps += 1
        if self.steps == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def controller(database: Database, *, pace: float = 0.0, mischief: bool = False) -> Runner:
    """Returns a controller over such workers."""
    return Runner(
        database, PacedWorkforce(pace=pace, mischief=mischief), Settings(lease_seconds=LEASE_SECONDS)
    )


def main() -> None:
    """Runs until it is killed."""
    configure_logging("warning")
    url, options = sys.argv[1], json.loads(sys.argv[2])
    database = Database(url)
    Faults(options.pop("kill_at", None), options.pop("fail_after_commit", None)).watch(database)
    runner = controller(database, **options)
    runner.start()
    print("ready", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
