"""Workers that are away for a while: Ray has ended, and another one starts."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from service.controller.runner import Runner
from service.experiment.status import ExperimentStatus
from service.settings import Settings
from service.store.database import Database
from service.store.models import EventRow
from tests.service.running import ControlledWorkforce, wait_for
from tests.service.small_experiments import add_experiment, reload

pytestmark = pytest.mark.faults


def test_that_workers_are_away_and_back_stands_in_status_and_events(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database)
    force = ControlledWorkforce()
    force.gate.clear()
    force.trouble = "Ray's raylet has ended"
    runner = threading.Thread(target=Runner(sqlite_database, force, Settings()).run_next)
    runner.start()
    wait_for(lambda: reload(sqlite_database, row).reason == "Ray's raylet has ended", "the reason")
    force.trouble = None
    wait_for(lambda: reload(sqlite_database, row).reason is None, "the end of the trouble")
    force.gate.set()
    runner.join(30.0)
    assert reload(sqlite_database, row).status is ExperimentStatus.SUCCEEDED
    with sqlite_database.reading() as session:
        query = select(EventRow.kind, EventRow.payload).where(EventRow.kind.startswith("workers."))
        told = [tuple(found) for found in session.execute(query.order_by(EventRow.id))]
    assert told == [("workers.away", {"cause": "Ray's raylet has ended"}), ("workers.back", {})]
