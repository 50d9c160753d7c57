"""A Ray that ends under its workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from evaluators import Benchmark
from search_spaces import Recipe
from tests.workers.recipes import linear_recipe
from workers.pools.ray_pool import RayPool
from workers.protocol.messages import (
    Assignment,
    BenchmarkInquiry,
    BenchmarkReport,
    Failed,
    Outcome,
    Scored,
    Workload,
)

PATIENCE = 150.0
SOON = 5.0


@pytest.fixture
def recipe(tiny_parents: dict[str, Path]) -> Callable[[int], Recipe]:
    """Numbered recipes, all different."""
    pair = [tiny_parents["left"], tiny_parents["right"]]
    return lambda number: linear_recipe(pair, (0.1 * number, 1.0 - 0.1 * number))


def end_ray(process: str) -> None:
    """Kills one of the processes that Ray consists of."""
    found = [child for child in psutil.Process().children(recursive=True) if child.name() == process]
    assert found
    for child in found:
        child.send_signal(signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("process", ["raylet", "gcs_server"])
def test_work_goes_on_with_another_ray_when_one_has_ended(
    ray_pool: RayPool, workload: Workload, words: Benchmark, recipe: Callable[[int], Recipe], process: str
) -> None:
    ray_pool.prepare(workload)
    (pid,) = ray_pool.process_ids
    os.kill(pid, signal.SIGSTOP)  # so that it cannot answer before Ray has ended
    assignments = [Assignment(uuid4(), number, recipe(number)) for number in range(3)]
    for assignment in assignments:
        ray_pool.submit(assignment)
    end_ray(process)
    ended = time.monotonic()
    lost = ray_pool.next_outcome(SOON)
    assert isinstance(lost, Failed)
    assert (lost.failure.code, lost.failure.retryable) == ("worker_lost", True)
    while ray_pool.trouble is None and time.monotonic() - ended < SOON:
        ray_pool.next_outcome(0.1)
    assert ray_pool.trouble is not None
    assert process in ray_pool.trouble
    answered: list[Outcome] = []
    while len(answered) < 2 and time.monotonic() - ended < PATIENCE:
        if (outcome := ray_pool.next_outcome(1.0)) is not None:
            answered.append(outcome)
    assert {o.candidate for o in answered} == {a.candidate for a in assignments[1:]}
    assert all(isinstance(outcome, Scored) for outcome in answered)
    assert ray_pool.trouble is None


@pytest.mark.slow
def test_a_job_finds_another_ray_when_one_has_ended(ray_pool: RayPool, words: Benchmark) -> None:
    assert isinstance(ray_pool.run_job(BenchmarkInquiry((words,))), BenchmarkReport)
    end_ray("raylet")
    assert isinstance(ray_pool.run_job(BenchmarkInquiry((words,))), BenchmarkReport)
