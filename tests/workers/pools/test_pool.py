"""The contract of `Workforce`, over every kind; and what only processes of their own can promise."""

from __future__ import annotations

import dataclasses
import importlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from evaluators import Benchmark, BenchmarkFacts
from search_spaces import Recipe
from tests.conftest import REPOSITORY
from tests.tiny_models import save_tiny_model, write_word_task
from tests.workers.hub_server import WRITER, HubServer
from tests.workers.recipes import exploding_recipe, linear_recipe, parent_at
from workers.checkpoints.inspection import inspect_checkpoint
from workers.errors import ExportError, PreparationError
from workers.pools.ray_pool import RayPool
from workers.protocol.messages import (
    Assignment,
    BenchmarkInquiry,
    BenchmarkProblem,
    BenchmarkReport,
    Exported,
    ExportOrder,
    Failed,
    HubTarget,
    Outcome,
    Scored,
    Workforce,
    Workload,
)

PATIENCE = 150.0  # seconds until a test gives an answer up


@pytest.fixture
def recipe(tiny_parents: dict[str, Path]) -> Callable[[int], Recipe]:
    """Numbered recipes, all different."""
    pair = [tiny_parents["left"], tiny_parents["right"]]
    return lambda number: linear_recipe(pair, (0.1 * number, 1.0 - 0.1 * number))


def assign(recipe: Recipe, number: int = 0, **fields: object) -> Assignment:
    return Assignment(uuid4(), number, recipe, **fields)  # type: ignore[arg-type]


def outcomes_of(workforce: Workforce, count: int) -> dict[object, Outcome]:
    """Waits for this many answers."""
    found: dict[object, Outcome] = {}
    end = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < end:
        outcome = workforce.next_outcome(1.0)
        if outcome is not None:
            found[outcome.candidate] = outcome
    return found


def test_every_assignment_is_answered_once_however_many_there_are(
    workforce: Workforce, workload: Workload, recipe: Callable[[int], Recipe]
) -> None:
    workforce.prepare(workload)
    assert workforce.slots >= 1
    assignments = [assign(recipe(n), n) for n in range(5)]
    for assignment in assignments:
        workforce.submit(assignment)
    outcomes = outcomes_of(workforce, 5)
    assert outcomes.keys() == {assignment.candidate for assignment in assignments}
    assert all(isinstance(outcome, Scored) for outcome in outcomes.values())
    assert workforce.next_outcome(0.2) is None


def test_both_kinds_give_the_same_scores(
    ray_pool: Workforce, inline_pool: Workforce, workload: Workload, recipe: Callable[[int], Recipe]
) -> None:
    found = []
    for pool in (ray_pool, inline_pool):
        pool.prepare(workload)
        pool.submit(assign(recipe(3)))
        (outcome,) = outcomes_of(pool, 1).values()
        assert isinstance(outcome, Scored)
        found.append(outcome.scores)
    assert found[0] == found[1]


def test_a_candidate_that_fails_does_not_stop_the_others(
    workforce: Workforce, workload: Workload, recipe: Callable[[int], Recipe], tiny_parents: dict[str, Path]
) -> None:
    workforce.prepare(workload)
    bad_score = assign(exploding_recipe(tiny_parents["left"]))
    stranger = assign(linear_recipe([Path("/nowhere")], (1.0,)))
    good = assign(recipe(2))
    for assignment in (bad_score, stranger, good):
        workforce.submit(assignment)
    outcomes = outcomes_of(workforce, 3)
    codes = {key: o.failure.code if isinstance(o, Failed) else "" for key, o in outcomes.items()}
    assert codes == {
        bad_score.candidate: "bad_score",
        stranger.candidate: "parents_differ",
        good.candidate: "",
    }


def test_dropped_assignments_are_not_answered(
    workforce: Workforce, workload: Workload, recipe: Callable[[int], Recipe]
) -> None:
    workforce.prepare(workload)
    for number in range(4):
        workforce.submit(assign(recipe(number)))
    workforce.drop()
    last = assign(recipe(5))
    workforce.submit(last)
    assert outcomes_of(workforce, 1).keys() == {last.candidate}
    assert workforce.next_outcome(0.5) is None


def test_preparing_again_changes_parents_and_benchmarks(
    workforce: Workforce, workload: Workload, words: Benchmark, recipe: Callable[[int], Recipe]
) -> None:
    workforce.prepare(workload)
    renamed = words.model_copy(update={"name": "renamed", "max_items": 3})
    workforce.prepare(dataclasses.replace(workload, experiment=uuid4(), benchmarks=(renamed,)))
    workforce.submit(assign(recipe(1)))
    (outcome,) = outcomes_of(workforce, 1).values()
    assert isinstance(outcome, Scored)
    assert [(score.benchmark, len(score.per_item)) for score in outcome.scores] == [("renamed", 3)]


@pytest.mark.slow
def test_a_workload_that_cannot_work_is_refused_and_the_next_one_works(
    workforce: Workforce, workload: Workload, words: Benchmark, recipe: Callable[[int], Recipe]
) -> None:
    no_task = dataclasses.replace(workload, benchmarks=(words.model_copy(update={"task": "no_such_task"}),))
    no_parent = dataclasses.replace(workload, parents=(parent_at(Path("/nowhere")),))
    for broken, words_in_it in ((no_task, "no_such_task"), (no_parent, "/nowhere")):
        with pytest.raises(PreparationError, match=words_in_it):
            workforce.prepare(broken)
    workforce.prepare(workload)
    workforce.submit(assign(recipe(1)))
    assert isinstance(next(iter(outcomes_of(workforce, 1).values())), Scored)


@pytest.mark.slow
def test_an_export_is_a_job(workforce: Workforce, recipe: Callable[[int], Recipe], tmp_path: Path) -> None:
    order = ExportOrder(recipe(4), str(tmp_path / "winner"))
    exported = workforce.run_job(order)
    assert isinstance(exported, Exported)
    assert inspect_checkpoint(parent_at(tmp_path / "winner")).layers == 2
    with pytest.raises(ExportError, match="exists already") as caught:
        workforce.run_job(order)
    assert caught.value.field == str(tmp_path / "winner")


def test_benchmarks_are_inquired_about_all_at_once(workforce: Workforce, words: Benchmark) -> None:
    unknown = words.model_copy(update={"name": "odd", "task": "no_such_task"})
    report = workforce.run_job(BenchmarkInquiry((words, unknown)))
    assert isinstance(report, BenchmarkReport)
    facts, problem = report.entries
    assert isinstance(facts, BenchmarkFacts)
    assert facts.items == {"search": 12, "selection": 12, "test": 12}
    assert isinstance(problem, BenchmarkProblem)
    assert (problem.name, problem.code) == ("odd", "unknown_task")


def test_a_worker_that_is_killed_costs_one_attempt_and_is_replaced(
    ray_pool: RayPool, workload: Workload, recipe: Callable[[int], Recipe]
) -> None:
    ray_pool.prepare(workload)
    (pid,) = ray_pool.process_ids
    os.kill(pid, signal.SIGSTOP)  # so that it cannot answer before it dies
    lost, waiting = assign(recipe(1)), assign(recipe(2))
    ray_pool.submit(lost)
    ray_pool.submit(waiting)
    os.kill(pid, signal.SIGKILL)
    outcomes = outcomes_of(ray_pool, 2)
    failed = outcomes[lost.candidate]
    assert isinstance(failed, Failed)
    assert (failed.failure.code, failed.failure.retryable) == ("worker_lost", True)
    assert isinstance(outcomes[waiting.candidate], Scored)
    assert ray_pool.process_ids != (pid,)


@pytest.mark.slow
def test_workers_that_cannot_get_ready_again_are_given_up_and_say_why(
    ray_pool: RayPool, workload: Workload, tmp_path: Path
) -> None:
    fleeting = save_tiny_model(tmp_path / "fleeting", 3)
    ray_pool.prepare(dataclasses.replace(workload, parents=(parent_at(fleeting),)))
    shutil.rmtree(fleeting)
    (pid,) = ray_pool.process_ids
    os.kill(pid, signal.SIGKILL)
    for number in range(2):
        ray_pool.submit(assign(linear_recipe([fleeting], (1.0,)), number))
    codes = {
        o.failure.code: o.failure.cause for o in outcomes_of(ray_pool, 2).values() if isinstance(o, Failed)
    }
    assert codes.keys() == {"worker_lost", "no_workers"}
    assert f"there is no folder {fleeting}" in codes["no_workers"]
    ray_pool.submit(assign(linear_recipe([fleeting], (1.0,))))
    (late,) = outcomes_of(ray_pool, 1).values()
    assert isinstance(late, Failed)
    assert late.failure.code == "no_workers"


@pytest.mark.slow
def test_a_worker_that_hangs_is_killed_when_its_time_is_up(
    ray_pool: RayPool, workload: Workload, recipe: Callable[[int], Recipe]
) -> None:
    ray_pool.prepare(workload)
    (pid,) = ray_pool.process_ids
    os.kill(pid, signal.SIGSTOP)
    hanging, waiting = assign(recipe(1), timeout=1.0), assign(recipe(2))
    ray_pool.submit(hanging)
    ray_pool.submit(waiting)
    outcomes = outcomes_of(ray_pool, 2)
    failed = outcomes[hanging.candidate]
    assert isinstance(failed, Failed)
    assert (failed.failure.code, failed.failure.retryable) == ("timeout", True)
    assert isinstance(outcomes[waiting.candidate], Scored)
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]


def test_inline_an_assignment_out_of_time_is_given_up(
    inline_pool: Workforce, workload: Workload, recipe: Callable[[int], Recipe], tmp_path: Path
) -> None:
    write_word_task(tmp_path, "many_words", items=1500)
    slow = Benchmark(name="many", task="many_words", include_path=str(tmp_path))
    inline_pool.prepare(dataclasses.replace(workload, benchmarks=(slow,)))
    hurried, patient = assign(recipe(1), timeout=0.05), assign(recipe(2))
    inline_pool.submit(hurried)
    inline_pool.submit(patient)
    outcomes = outcomes_of(inline_pool, 2)
    failed = outcomes[hurried.candidate]
    assert isinstance(failed, Failed)
    assert (failed.failure.code, failed.failure.retryable) == ("timeout", True)
    assert isinstance(outcomes[patient.candidate], Scored)


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two workers need two cores")
def test_two_workers_share_the_work(
    ray_pool: RayPool, workload: Workload, recipe: Callable[[int], Recipe]
) -> None:
    ray_pool.prepare(dataclasses.replace(workload, count=2))
    assert ray_pool.slots == 2
    for number in range(6):
        ray_pool.submit(assign(recipe(number)))
    workers = {o.worker for o in outcomes_of(ray_pool, 6).values() if isinstance(o, Scored)}
    assert len(workers) == 2


@pytest.mark.slow
def test_a_push_from_a_worker_reaches_the_hub_of_the_controllers_environment(
    ray_pool: RayPool, recipe: Callable[[int], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HubServer() as hub:
        for name, value in hub.environment().items():
            monkeypatch.setenv(name, value)
        target = HubTarget("lab/winner")
        exported = ray_pool.run_job(ExportOrder(recipe(4), str(tmp_path / "winner"), hub=target))
        assert isinstance(exported, Exported)
        assert exported.url == f"{hub.url}/lab/winner"
        assert set(exported.files) < set(hub.repositories["lab/winner"].files)
    logs = [p for p in Path("/tmp/ray").glob(f"session_*_{os.getpid()}/logs/**/*") if p.is_file()]
    assert logs
    assert [path for path in logs if WRITER.encode() in path.read_bytes()] == []


def test_ray_listens_on_the_loopback_interface_only_and_asks_for_a_token(ray_pool: RayPool) -> None:
    assert ray_pool.cluster.cpus >= 1
    assert os.environ["RAY_AUTH_MODE"] == "token"
    path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text()) == 64
    assert _ray_listens_on() <= {"127.0.0.1", "::1"}
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # the service's own handlers stay


def _ray_listens_on() -> set[str]:
    psutil: Any = importlib.import_module("psutil")
    own = psutil.Process()
    listening = [c for p in (own, *own.children(recursive=True)) for c in p.net_connections("tcp")]
    return {c.laddr.ip.removeprefix("::ffff:") for c in listening if c.status == psutil.CONN_LISTEN}


@pytest.mark.parametrize(
    "module",
    [
        "workers",
        "workers.protocol.messages",
        "workers.checkpoints.inspection",
        "workers.checkpoints.hub.parent_files",
        "workers.pools.pool",
        "workers.pools.actor",
    ],
)
def test_the_controllers_side_imports_neither_torch_nor_ray(module: str) -> None:
    heavy = ("torch", "transformers", "lm_eval", "ray", "safetensors")
    script = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


SHORT_LIVED_THREAD = """
import sys, threading, time
from pathlib import Path
import psutil
from workers.pools.ray_pool import RayPool

pool = RayPool(Path(sys.argv[1]))
thread = threading.Thread(target=lambda: pool.cluster)
thread.start()
thread.join()
time.sleep(1)  # the kernel's signal would have come long since
print([c.name() for c in psutil.Process().children(recursive=True) if c.status() != psutil.STATUS_ZOMBIE])
pool.close()
"""


@pytest.mark.slow
def test_ray_outlives_the_thread_that_first_needed_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SHORT_LIVED_THREAD, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert "gcs_server" in done.stdout
    assert "raylet" in done.stdout
