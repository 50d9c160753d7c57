"""Several experiments at once, over a simulated cluster and real databases."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measuring.simulated_cluster import SimulatedCluster, connection_to
from service.controller.runner import Runner
from service.controller.runners import Runners
from service.experiment.status import ExperimentStatus
from service.settings import Settings
from service.store.database import Database
from service.store.leases import next_experiment
from service.store.models import ExperimentRow
from tests.service.small_experiments import add_experiment, final_state, reload
from workers.pools.ray_pool import RayPool

pytestmark = pytest.mark.faults

SETTINGS = Settings(lease_seconds=600.0)
_S = ExperimentStatus


@pytest.fixture
def parents(tiny_parents: dict[str, Path]) -> dict[str, Any]:
    """What a spec says of parents that are there."""
    pair = [str(tiny_parents["left"]), str(tiny_parents["right"])]
    return {"parents": pair, "base": str(tiny_parents["base"])}


def pool_of(cluster: SimulatedCluster) -> RayPool:
    return RayPool(Path("/nowhere"), connection=connection_to(cluster))


def quick(**resources: Any) -> SimulatedCluster:
    return SimulatedCluster(work_seconds=lambda _: 0.002, **resources)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def status(database: Database, row: ExperimentRow) -> ExperimentStatus:
    return reload(database, row).status


def running(database: Database, rows: list[ExperimentRow]) -> int:
    return [status(database, row) for row in rows].count(_S.RUNNING)


def test_what_an_experiment_finds_does_not_depend_on_who_else_runs(
    database: Database, parents: dict[str, Any]
) -> None:
    rows = [add_experiment(database, name=f"alone {seed}", seed=seed, **parents) for seed in range(2)]
    alone = Runner(database, pool_of(quick(cpus=3)), SETTINGS)
    while alone.run_next():
        pass
    together = [add_experiment(database, name=f"beside {seed}", seed=seed, **parents) for seed in range(2)]
    runners = Runners(database, pool_of(quick(cpus=3)), SETTINGS)
    runners.start()
    wait_for(lambda: all(status(database, row) is _S.SUCCEEDED for row in together))
    runners.stop()
    for mine, others in zip(rows, together, strict=True):
        assert final_state(database, mine) == final_state(database, others)


@pytest.mark.parametrize(("limit", "at_once"), [(None, 3), (2, 2), (9, 3)])
def test_as_many_run_at_once_as_there_are_workers_or_settings_allow(
    sqlite_database: Database, parents: dict[str, Any], limit: int | None, at_once: int
) -> None:
    cluster = SimulatedCluster(cpus=3)
    rows = [add_experiment(sqlite_database, name=f"small {n}", **parents) for n in range(4)]
    settings = SETTINGS.model_copy(update={"max_experiments": limit})
    runners = Runners(sqlite_database, pool_of(cluster), settings)
    runners.start()
    wait_for(lambda: running(sqlite_database, rows) >= at_once)
    time.sleep(0.7)  # another look, in vain
    assert running(sqlite_database, rows) == at_once
    runners.stop()
    assert [reload(sqlite_database, row).lease_owner for row in rows] == [None] * 4


def test_a_controller_goes_on_with_all_that_another_ran_at_once(
    database: Database, parents: dict[str, Any]
) -> None:
    undisturbed = add_experiment(database, name="undisturbed", **parents)
    Runner(database, pool_of(quick(cpus=2)), SETTINGS).run_next()
    rows = [add_experiment(database, name=f"taken over {n}", **parents) for n in range(2)]
    first = SimulatedCluster(cpus=2)
    runners = Runners(database, pool_of(first), SETTINGS)
    runners.start()
    wait_for(lambda: running(database, rows) == 2)
    for _ in range(6):
        first.finish(2)
        time.sleep(0.05)
    runners.stop()
    following = Runners(database, pool_of(quick(cpus=2)), SETTINGS)
    following.start()
    wait_for(lambda: all(status(database, row) is _S.SUCCEEDED for row in rows))
    following.stop()
    for row in rows:
        assert final_state(database, row) == final_state(database, undisturbed)


def test_higher_priority_begins_first_and_then_the_older_one(database: Database) -> None:
    for name, priority in (("old", 1.0), ("idle", 0.5), ("urgent", 2.0), ("urgent as well", 2.0)):
        add_experiment(database, name=name, priority=priority)
    order = []
    for _ in range(4):
        with database.session() as session:
            row = next_experiment(session, "me")
            assert row is not None
            order.append(row.name)
            row.status = _S.CANCELLED
    assert order == ["urgent", "urgent as well", "old", "idle"]
