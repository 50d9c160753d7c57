"""A controller as a process of its own, with workers that answer soon, and with faults inside it.

    python -m benchmarks.breaking.controller URL OPTIONS

OPTIONS is a JSON object: `pace` (seconds until an answer), `manner` (of the workers: see `workforces`) or
`ray` (workers in Ray's processes: `folder`, where its token is kept; `hangs`, which candidates hang once) and
`database` (see `DatabaseFaults`).
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

from benchmarks.breaking.database_faults import DatabaseFaults
from benchmarks.breaking.workforces import PacedWorkforce
from service.controller.runner import Runner
from service.log import configure_logging
from service.settings import Settings
from service.store.database import Database
from workers.protocol.messages import Workforce

LEASE_SECONDS = 2.0
RAY_LEASE_SECONDS = 10.0  # Ray's start alone may keep a busy machine from renewing for seconds


def controller(database: Database, *, pace: float = 0.0, manner: str = "honest") -> Runner:
    """Returns a controller over workers in this process."""
    return controller_over(database, PacedWorkforce(pace=pace, manner=manner))


def controller_over(database: Database, workforce: Workforce, *, lease: float = LEASE_SECONDS) -> Runner:
    """Returns a controller over a workforce, which holds experiments for `lease` seconds."""
    return Runner(database, workforce, Settings(lease_seconds=lease))


def _workforce(options: dict[str, Any]) -> Workforce:
    if (ray := options.get("ray")) is None:
        return PacedWorkforce(pace=options["pace"], manner=options.get("manner", "honest"))
    from benchmarks.breaking.ray_workers import ray_workforce  # late, as not all machines have Ray

    return ray_workforce(Path(ray["folder"]), pace=options["pace"], hangs=ray.get("hangs", 0))


def main() -> None:
    """Runs until it is killed."""
    configure_logging("warning")
    url, options = sys.argv[1], json.loads(sys.argv[2])
    database = Database(url)
    DatabaseFaults(**options.pop("database", {})).watch(database)
    lease = LEASE_SECONDS if options.get("ray") is None else RAY_LEASE_SECONDS
    runner = controller_over(database, _workforce(options), lease=lease)
    runner.start()
    print("ready", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
