"""Requests that come while workers get ready: parents of tens of gigabytes may be on their way."""

from __future__ import annotations

import threading

import pytest

from service.controller.runner import Runner
from service.experiment.status import ExperimentStatus
from service.settings import Settings
from service.store.database import Database
from service.store.repository import Repository
from tests.service.scripted_workforce import ScriptedWorkforce
from tests.service.small_experiments import add_experiment, reload
from workers.pools.listening import listening
from workers.protocol.messages import Interrupted, Workload, never

pytestmark = pytest.mark.faults

SETTINGS = Settings(lease_seconds=600.0)
_S = ExperimentStatus


class NeverReady(ScriptedWorkforce):
    """Gets ready for ever."""

    def __init__(self) -> None:
        super().__init__(benchmarks=("words", "sums"))
        self.begun = threading.Event()

    def prepare(self, workload: Workload, interrupted: Interrupted = never) -> None:
        """Waits until it is given up."""
        super().prepare(workload)
        self.begun.set()
        listening(threading.Event().wait, interrupted)


@pytest.mark.parametrize(
    ("wanted", "after"),
    [(_S.PAUSING, _S.PAUSED), (_S.CANCELLING, _S.CANCELLED), (None, _S.RUNNING)],
    ids=["pause", "cancel", "stop"],
)
def test_a_request_is_heard_while_workers_get_ready(
    sqlite_database: Database, wanted: ExperimentStatus | None, after: ExperimentStatus
) -> None:
    row = add_experiment(sqlite_database)
    force = NeverReady()
    runner = Runner(sqlite_database, force, SETTINGS)
    thread = threading.Thread(target=runner.run_next)
    thread.start()
    assert force.begun.wait(10)
    if wanted is None:
        runner.stop(0.0)
    else:
        with sqlite_database.session() as session:
            repository = Repository(session)
            repository.move(repository.experiment(row.id), wanted)
    thread.join(5.0)
    assert not thread.is_alive()
    again = reload(sqlite_database, row)
    assert (again.status, again.lease_owner) == (after, None)
