"""Field: what a fault may break, controllers over one database, and the database's server."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks.measuring.postgres import PostgresServer
from service.experiment.candidate import CandidateStatus
from service.experiment.status import ENDED
from service.store.database import DATABASE_AWAY, Database
from service.store.repository import Repository

PACE = 0.01  # seconds that an answer takes
ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Field:
    """One round's controllers and database.

    Attributes:
        key: The round's experiment.
        folder: Where its parents are.
        rng: Of the moments at which things break.
    """

    server: PostgresServer
    database: Database
    url: str
    rng: random.Random
    key: UUID
    folder: Path
    controllers: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, url: str | None = None, **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401 - the controller's
        """Starts a controller, and returns once it looks for work."""
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.breaking.controller", url or self.url,
             json.dumps({"pace": PACE} | options)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.controllers.append(process)
        if process.stdout is not None:
            process.stdout.readline()
        return process

    def pause(self, most: float = 1.5) -> None:
        """Lets a random time pass in which the search goes on."""
        time.sleep(self.rng.uniform(0.1, most))

    def wait_for_candidates(self, count: int, seconds: float = 60.0) -> None:
        """Returns once so many candidates have ended, or the time is over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self.database.reading() as session:
                counts = Repository(session).counts(self.key)
            if (
                sum(number for status, number in counts.items() if status is not CandidateStatus.PROPOSED)
                >= count
            ):
                return
            time.sleep(0.05)

    def has_ended(self, deadline: float) -> bool:
        """Waits for the experiment's end; the database may be away in between."""
        while time.monotonic() < deadline:
            try:
                with self.database.reading() as session:
                    if Repository(session).experiment(self.key).status in ENDED:
                        return True
            except DATABASE_AWAY:
                pass
            time.sleep(0.1)
        return False

    def clear(self) -> None:
        """Kills all controllers that are left."""
        for process in self.controllers:
            process.kill()
            process.wait()
        self.controllers.clear()
