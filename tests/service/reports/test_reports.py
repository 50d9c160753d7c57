from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evaluators import Split
from service.controller.runner import Runner
from service.experiment.objectives import ObjectiveFacts, Objectives
from service.experiment.status import ExperimentStatus
from service.reports import experiments as reports
from service.reports.front import front_view
from service.reports.partial_evaluation import asked_of_all, asked_of_one
from service.reports.score_columns import read_columns
from service.store.database import Database
from service.store.models import EvaluationRow
from service.store.repository import Repository
from service.store.rows import values_on
from tests.service.running import settings_in
from tests.service.scripted_workforce import ScriptedWorkforce
from tests.service.small_experiments import add_experiment, with_optimizer

_S = ExperimentStatus


def objective(name: str, *, higher: bool = True, weight: float = 1.0) -> ObjectiveFacts:
    return ObjectiveFacts(name=name, task=name, metric="m", higher_is_better=higher, weight=weight, items={})


def evaluation(benchmark: str, value: float, split: str = "search") -> EvaluationRow:
    return EvaluationRow(split=split, benchmark=benchmark, value=value)


def test_fitness_is_a_score_with_its_sign() -> None:
    objectives = Objectives((objective("acc"), objective("loss", higher=False, weight=3.0)))
    rows = [evaluation("loss", 0.5), evaluation("acc", 0.8), evaluation("acc", 0.1, "test")]
    assert objectives.fitness(values_on("search", rows)) == (0.8, -0.5)
    assert objectives.fitness(values_on("test", rows)) is None
    assert objectives.scalar((0.8, -0.5)) == pytest.approx((0.8 - 1.5) / 4)
    assert objectives.in_own_units((0.8, -0.5)) == [0.8, 0.5]


@pytest.mark.parametrize(
    ("status", "verbs"),
    [
        (_S.QUEUED, ["pause", "cancel"]),
        (_S.RUNNING, ["pause", "stop", "cancel"]),
        (_S.PAUSING, ["resume", "stop", "cancel"]),
        (_S.PAUSED, ["resume", "stop", "extend", "cancel"]),
        (_S.STOPPING, ["cancel"]),
        (_S.EXAMINING, ["cancel"]),
        (_S.CANCELLING, []),
        (_S.SUCCEEDED, ["extend"]),
        (_S.FAILED, ["resume", "extend"]),
        (_S.CANCELLED, []),
    ],
)
def test_what_may_be_asked_follows_from_the_status(status: ExperimentStatus, verbs: list[str]) -> None:
    assert reports.verbs_of(status, scored=False) == verbs
    assert reports.verbs_of(status, scored=True) == [*verbs, "export"]


def test_the_rate_is_that_of_the_last_minute_of_work() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    slow = [start + timedelta(seconds=100 * i) for i in range(5)]
    fast = [slow[-1] + timedelta(seconds=500 + i / 2) for i in range(41)]
    assert reports.rate_of([*slow, *fast], _S.PAUSED) == pytest.approx(2.0)
    assert reports.rate_of([], _S.RUNNING) is None
    assert reports.rate_of(slow[:1], _S.PAUSED) is None


def test_a_run_that_stands_still_has_no_rate() -> None:
    long_ago = [datetime.now(UTC) - timedelta(hours=1, seconds=i) for i in range(10)]
    assert reports.rate_of(long_ago, _S.RUNNING) is None


def test_reports_of_a_finished_run_agree_with_each_other(database: Database, tmp_path: Path) -> None:
    row = add_experiment(database)
    workforce = ScriptedWorkforce(benchmarks=("words", "sums"))
    assert Runner(database, workforce, settings_in(tmp_path)).run_next()
    with database.reading() as session:
        repository = Repository(session)
        row = repository.experiment(row.id)
        detail = reports.experiment_detail(repository, row)
        splits: tuple[Split, ...] = ("search", "selection", "test")
        fronts = {split: front_view(read_columns(session, row, split), row) for split in splits}
        front = reports.front_numbers(repository, row.id)
    assert detail.status is _S.SUCCEEDED
    assert detail.winner is not None
    assert front == {point.number for point in fronts["search"].front}
    assert fronts["search"].hypervolume == pytest.approx(detail.progress.hypervolume[-1].hypervolume)
    everyone = {p.number for v in (fronts["search"],) for p in (*v.front, *v.dominated, *v.baselines)}
    assert everyone == set(range(12))
    assert detail.winner.number in {p.number for p in (*fronts["test"].front, *fronts["test"].dominated,
                                                       *fronts["test"].baselines)}  # fmt: skip


def test_reports_say_who_was_asked_a_part_of_the_items(sqlite_database: Database, tmp_path: Path) -> None:
    changes = with_optimizer("nsga2") | {"rotation": {"items": 16, "elites": 2}, "budget": {"candidates": 24}}
    key = add_experiment(sqlite_database, **changes).id
    workforce = ScriptedWorkforce(benchmarks=("words", "sums"))
    assert Runner(sqlite_database, workforce, settings_in(tmp_path)).run_next()
    with sqlite_database.reading() as session:
        repository = Repository(session)
        detail = reports.experiment_detail(repository, repository.experiment(key))
        shown = [reports.candidate_view(row, front=frozenset()) for row in repository.candidates(key)]
    found = detail.progress.estimator
    assert found is not None
    assert found.checks > 0
    assert found.error is not None
    said = list(asked_of_all(detail))
    assert said[0] == (
        "each generation answers about 16 of 64 items of words and about 16 of 64 items of sums, "
        "and so do the best 2 so far"
    )
    assert f"estimates missed by {found.error:.3f}" in said[1]
    assert f"in {found.checks} checks" in said[1]

    assert list(asked_of_one(shown[0], detail.objectives)) == []  # a baseline is asked everything
    once = next(c for c in shown if c.generation and not c.again and c.scores)
    assert "; ".join(asked_of_one(once, detail.objectives)) == (
        "answered 16 of 64 items of words and 16 of 64 items of sums: the search values are estimates "
        "for all of them"
    )
    elite = next(c for c in shown if c.again)
    assert min(elite.again) > elite.generation
    assert list(asked_of_one(elite, detail.objectives))[-1].endswith(str(elite.again[-1]))
    everyone = detail.model_copy(update={"spec": detail.spec | {"rotation": None}})
    assert list(asked_of_all(everyone)) == []
