"""Several experiments over one pool of workers; the cluster is simulated, so that every moment can be had."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from benchmarks.measuring.simulated_cluster import SimulatedCluster, connection_to
from evaluators import Benchmark
from search_spaces import Recipe
from tests.workers.recipes import linear_recipe
from workers.errors import PreparationError, WorkInterruptedError
from workers.pools.ray_pool import RayPool
from workers.protocol.messages import Assignment, Scored, WorkerShare, Workload


@pytest.fixture
def recipe(tiny_parents: dict[str, Path]) -> Callable[[int], Recipe]:
    """Numbered recipes, all different."""
    pair = [tiny_parents["left"], tiny_parents["right"]]
    return lambda number: linear_recipe(pair, (0.1 * number, 1.0 - 0.1 * number))


@pytest.fixture
def other(workload: Workload, words: Benchmark) -> Workload:
    """A workload that a worker must get ready for anew."""
    return dataclasses.replace(workload, experiment=uuid4(), batch_size=4)


class Experiment:
    """A pool, and what is done with it."""

    def __init__(self, pool: RayPool, workload: Workload, recipe: Callable[[int], Recipe]) -> None:
        self.pool, self.workload, self.recipe = pool, workload, recipe
        self.out: set[object] = set()

    def prepare(self, before_each_look: Callable[[], object] = lambda: None) -> None:
        """Gets ready; something else goes on meanwhile."""
        self.pool.prepare(self.workload, lambda: bool(before_each_look()))

    def want(self, count: int) -> int:
        """Hands out what may be out of so many assignments; returns how many are."""
        for number in range(self.pool.claim(count) - len(self.out)):
            assignment = Assignment(uuid4(), number, self.recipe(number))
            self.out.add(assignment.candidate)
            self.pool.submit(assignment)
        return len(self.out)

    def look(self) -> None:
        """Takes in what was answered."""
        while (outcome := self.pool.next_outcome(0.0)) is not None:
            assert isinstance(outcome, Scored)
            self.out.discard(outcome.candidate)


Begin = Callable[..., tuple[SimulatedCluster, list[Experiment]]]


@pytest.fixture
def begin(tmp_path: Path, workload: Workload, recipe: Callable[[int], Recipe]) -> Begin:
    """Opens a pool of experiments with these workloads, on a cluster with these resources."""

    def build(*workloads: Workload, **resources: int) -> tuple[SimulatedCluster, list[Experiment]]:
        cluster = SimulatedCluster(**resources)  # type: ignore[arg-type]
        pool = RayPool(tmp_path, connection=connection_to(cluster))
        found = [dataclasses.replace(each, count=None) for each in workloads]
        return cluster, [Experiment(pool.for_experiment(), each, recipe) for each in found]

    return build


def test_an_experiment_that_arrives_gets_the_first_worker_that_ends_an_evaluation(
    begin: Begin, workload: Workload, other: Workload
) -> None:
    cluster, (first, second) = begin(workload, other, cpus=2)
    first.prepare()
    assert first.want(9) == 2

    def go_on() -> None:
        cluster.finish()  # one evaluation each time
        first.look()
        first.want(9)

    second.prepare(go_on)
    assert second.want(9) == 1
    assert first.want(9) == 1
    assert cluster.killed_at_work == []
    assert len(cluster.workers) == 2  # the process was taken over


def test_workers_that_are_not_wanted_are_lent_and_given_back(
    begin: Begin, workload: Workload, other: Workload
) -> None:
    cluster, (first, second) = begin(workload, other, cpus=2)
    first.prepare()
    second.prepare()
    assert (first.want(9), second.want(9)) == (1, 1)
    cluster.finish(2)
    first.look()
    second.look()
    first.want(0)  # a generation is over, and the next takes thought
    while len(cluster.at_work) < 2:
        second.want(9)
        second.look()
    assert first.want(9) == 1
    first.look()
    assert first.pool.held == 0  # both are at work for the other
    cluster.finish(1)
    while not first.pool.held:
        second.look()
        second.want(9)
        first.look()
    assert (first.pool.held, second.pool.held) == (1, 1)
    assert cluster.killed_at_work == []


def test_workers_that_take_long_to_get_ready_are_not_lent_for_a_moment(
    begin: Begin, workload: Workload, other: Workload
) -> None:
    cluster, (first, second) = begin(workload, other, cpus=2)
    cluster.ready_seconds = 0.5
    first.prepare()
    second.prepare(lambda: first.look())
    second.want(9)
    first.want(0)
    second.look()
    assert (first.pool.held, second.pool.held) == (1, 1)


def test_a_later_experiment_takes_the_workers_that_hold_its_parents(
    begin: Begin, workload: Workload, other: Workload
) -> None:
    elsewhere = dataclasses.replace(other, parents=workload.parents[:2])
    later = dataclasses.replace(workload, experiment=uuid4(), share=WorkerShare(maximum=1))
    cluster, (first, second, third) = begin(workload, elsewhere, later, cpus=2)
    first.prepare()
    second.prepare(first.look)
    first.pool.release()
    second.pool.release()
    third.prepare()
    (chosen,) = [worker for worker in cluster.workers if worker.workloads[-1] == third.workload]
    assert chosen.workloads[-2].parents == third.workload.parents
    assert len(cluster.workers) == 2


def test_models_that_do_not_fit_beside_others_wait_until_there_is_room(
    begin: Begin, workload: Workload, other: Workload
) -> None:
    cluster, (first, second) = begin(workload, other, cpus=2, memory=1_200_000_000)
    first.prepare()
    first.want(9)
    looks = iter(range(9))

    def end_in_time() -> None:
        if next(looks) == 3:
            assert second.pool.held == 0
            cluster.finish()
            first.look()
            first.pool.release()

    second.prepare(end_in_time)
    assert second.want(9) == 1
    assert next(looks) > 3


def test_waiting_for_room_is_given_up_when_asked(begin: Begin, workload: Workload, other: Workload) -> None:
    _, (first, second) = begin(workload, other, cpus=2, memory=1_200_000_000)
    first.prepare()
    first.want(9)
    looks = iter(range(9))
    with pytest.raises(WorkInterruptedError):
        second.prepare(lambda: next(looks) > 2)
    assert second.pool.slots == 0
    assert first.pool.held == 1


def test_how_many_workers_an_experiment_counts_on_does_not_depend_on_others(
    begin: Begin, workload: Workload, other: Workload
) -> None:
    limited = dataclasses.replace(other, share=WorkerShare(maximum=3))
    _, (first, second) = begin(workload, limited, cpus=8)
    first.prepare()
    assert first.pool.slots == 8
    second.prepare(lambda: first.look())
    assert second.pool.slots == 3
    assert first.pool.slots == 8


def test_more_workers_than_there_could_be_are_refused(begin: Begin, workload: Workload) -> None:
    _, (only,) = begin(dataclasses.replace(workload, share=WorkerShare(minimum=5)), cpus=2)
    with pytest.raises(PreparationError, match="at least 5 are demanded, there would be 2"):
        only.prepare()
