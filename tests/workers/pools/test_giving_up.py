"""Work that takes for ever is given up when it is asked for, and keeps nothing else waiting."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from evaluators import Benchmark
from search_spaces import Recipe
from tests.tiny_models import write_word_task
from tests.workers.recipes import linear_recipe
from workers.errors import WorkInterruptedError
from workers.protocol.messages import (
    Assignment,
    BenchmarkInquiry,
    BenchmarkReport,
    ExportOrder,
    HubTarget,
    Scored,
    Workforce,
    Workload,
)

SOON = 5.0  # seconds in which a request must be seen
PATIENCE = 150.0


@pytest.fixture
def stalled(tmp_path: Path) -> Iterator[Benchmark]:
    """A benchmark whose task file is never read to its end, like a download that stalls."""
    folder = tmp_path / "stalled"
    write_word_task(folder, "stalled")
    pipe = folder / "endless.yaml"
    os.mkfifo(pipe)
    yield Benchmark(name="stalled", task="stalled", include_path=str(folder))
    with suppress(OSError):  # a reader that is still there gets to the end
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))


class Switch:
    """Says, from a moment on, that something is to be given up."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.started = seconds, time.monotonic()

    def __call__(self) -> bool:
        return time.monotonic() - self.started > self.seconds


@pytest.fixture
def recipe(tiny_parents: dict[str, Path]) -> Callable[[int], Recipe]:
    """Numbered recipes, all different."""
    pair = [tiny_parents["left"], tiny_parents["right"]]
    return lambda number: linear_recipe(pair, (0.1 * number, 1.0 - 0.1 * number))


@pytest.mark.slow
def test_actors_that_get_ready_are_given_up_when_asked(
    ray_pool: Workforce, workload: Workload, stalled: Benchmark, recipe: Callable[[int], Recipe]
) -> None:
    gives_up_and_goes_on(ray_pool, workload, stalled, recipe)


def test_getting_ready_is_given_up_when_asked_and_the_next_workload_works(
    inline_pool: Workforce,
    workload: Workload,
    stalled: Benchmark,
    recipe: Callable[[int], Recipe],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.pools.inline_pool.LEFT_OVER_SECONDS", 0.1)
    gives_up_and_goes_on(inline_pool, workload, stalled, recipe)


def gives_up_and_goes_on(
    workforce: Workforce, workload: Workload, stalled: Benchmark, recipe: Callable[[int], Recipe]
) -> None:
    with pytest.raises(WorkInterruptedError):
        workforce.prepare(dataclasses.replace(workload, benchmarks=(stalled,)), Switch(1.0))
    workforce.prepare(workload)
    workforce.submit(Assignment(uuid4(), 0, recipe(1)))
    end = time.monotonic() + PATIENCE
    while (outcome := workforce.next_outcome(1.0)) is None:
        assert time.monotonic() < end
    assert isinstance(outcome, Scored)


def test_a_job_that_stalls_is_given_up_when_asked(workforce: Workforce, stalled: Benchmark) -> None:
    with pytest.raises(WorkInterruptedError):
        workforce.run_job(BenchmarkInquiry((stalled,)), Switch(1.0))


def test_an_upload_that_stalls_keeps_no_check_waiting(
    inline_pool: Workforce,
    words: Benchmark,
    recipe: Callable[[int], Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over, reached = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never answers
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("HF_TOKEN", "hf_nothing")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        order = ExportOrder(recipe(1), str(tmp_path / "out"), hub=HubTarget("lab/out"), verify=False)

        def stall() -> None:
            with suppress(WorkInterruptedError):
                inline_pool.run_job(order, over.is_set)

        def accept() -> None:
            with silent.accept()[0]:
                reached.set()
                over.wait(PATIENCE)

        threads = [threading.Thread(target=stall), threading.Thread(target=accept)]
        for thread in threads:
            thread.start()
        assert reached.wait(60.0)
        assert isinstance(inline_pool.run_job(BenchmarkInquiry((words,))), BenchmarkReport)
        assert threads[0].is_alive()
        over.set()
        for thread in threads:
            thread.join(SOON)
        assert not threads[0].is_alive()
