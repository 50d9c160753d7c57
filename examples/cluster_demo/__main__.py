"""`make cluster-demo`: an experiment on a cluster that loses one process after the other, and ends as if not.

    python -m examples.cluster_demo

Postgres (from a wheel), two controllers, Ray's head and two raylets run as processes of this machine.  While
the experiment goes on, the controller that runs it, a raylet, a worker, Postgres and Ray's head are killed
with -9, one after the other; what has ended is started again.  Then the same experiment runs undisturbed,
and both must agree in every genome, every score and the winner.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from sqlalchemy import select

from benchmarks.breaking.experiments import candidates_of, outcome_of, settled_twice
from benchmarks.measuring.postgres import PostgresServer, postgres
from evomerge import Client, ClientError
from examples.cluster_demo.problem import make_problem
from examples.cluster_demo.processes import ClusterProcesses
from service.cli.installation.invariants_check import judged
from service.controller.runner import Runner
from service.experiment.candidate import CandidateStatus
from service.experiment.status import ENDED
from service.settings import Settings
from service.store.database import DATABASE_AWAY, Database
from service.store.models import ExperimentRow
from service.store.repository import Repository
from workers.pools.inline_pool import InlinePool

PATIENCE = 900.0  # seconds


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Waits until something is so; the database may be away in between.

    Raises:
        TimeoutError: It took longer than a quarter of an hour.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if condition():
                return
        except (*DATABASE_AWAY, ClientError):
            pass
        time.sleep(0.2)
    raise TimeoutError(f"waited in vain for {what}")


def ended(database: Database, key: UUID) -> int:
    """Returns how many candidates have ended."""
    with database.reading() as session:
        counts = Repository(session).counts(key)
    return sum(count for status, count in counts.items() if status is not CandidateStatus.PROPOSED)


def has_ended(database: Database, key: UUID) -> bool:
    """Says whether the experiment has."""
    with database.reading() as session:
        return Repository(session).experiment(key).status in ENDED


def kill_holder(database: Database, key: UUID, cluster: ClusterProcesses) -> None:
    """Kills the controller that runs the experiment."""
    with database.reading() as session:
        owner = session.scalar(select(ExperimentRow.lease_owner).where(ExperimentRow.id == key)) or ""
    for one in cluster.controllers:
        if one.process is not None and f":{one.process.pid}:" in owner:
            one.kill()
            return
    raise RuntimeError(f"none of the controllers is {owner}")


def break_everything(
    server: PostgresServer, database: Database, key: UUID, cluster: ClusterProcesses
) -> None:
    """Kills one of each, as soon as some more candidates have ended."""
    deeds: dict[str, Callable[[], None]] = {
        "the controller that runs it": lambda: kill_holder(database, key, cluster),
        "a worker": lambda: cluster.workers()[0].send_signal(signal.SIGKILL),
        "a raylet": cluster.raylets[0].kill,
        "Postgres": lambda: server.restart(signal.SIGKILL),
        "Ray's head": cluster.head.kill,
    }
    for place, (what, deed) in enumerate(deeds.items(), 1):
        count = 5 * place
        wait_until(lambda count=count: ended(database, key) >= count, f"{count} candidates")  # type: ignore[misc]
        print(f"{ended(database, key)} candidates have ended: {what} is killed", flush=True)
        deed()


def undisturbed(url: str, database: Database, key: UUID) -> tuple[Database, UUID]:
    """Runs the same experiment in this process, over another database."""
    with database.reading() as session:
        row = Repository(session).experiment(key)
    other = Database(url)
    other.upgrade()
    with other.session() as session:
        again = Repository(session).create_experiment(row.name, row.spec, facts=row.facts).id
    runner = Runner(other, InlinePool(), Settings(fewest_bytes_free=0))
    while runner.run_next():
        pass
    return other, again


def main() -> int:
    """Plays the story; the exit status is 1 where the two experiments differ."""
    started = time.monotonic()
    with postgres() as server, TemporaryDirectory(prefix="cluster-") as place:
        folder = Path(place)
        spec, url = make_problem(folder), server.new_url()
        database = Database(url)
        database.upgrade()
        with (
            ClusterProcesses(folder, url) as cluster,
            Client(f"http://127.0.0.1:{cluster.ports[0]}") as client,
        ):
            print("Postgres, Ray's head, two raylets and two controllers start ...", flush=True)
            wait_until(lambda: bool(client.version()), "the controllers")
            key = UUID(str(client.create(spec).id))
            break_everything(server, database, key, cluster)
            wait_until(lambda: has_ended(database, key), "the end")
            restarts = {one.name: one.starts - 1 for one in cluster.all}
        print("it has ended; now the same without any trouble ...", flush=True)
        other, again = undisturbed(server.new_url(), database, key)
        expected, found = candidates_of(other, again), candidates_of(database, key)
        result = {
            "equal": found == expected and outcome_of(database, key) == outcome_of(other, again),
            "candidates": len(found),
            "lost": sum(found.get(number) != candidate for number, candidate in expected.items()),
            "doubled": settled_twice(database, key),
            "broken": [one.invariant.id for one in judged(database) if not one.holds],
            "restarts": restarts,
            "seconds": round(time.monotonic() - started),
        }
        database.close()
        other.close()
    print(json.dumps(result))
    return 0 if result["equal"] and not result["broken"] else 1


if __name__ == "__main__":
    sys.exit(main())
