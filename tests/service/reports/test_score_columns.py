"""Columns of scores that are kept are renewed by what happened, and stay what a fresh look would find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.archives.pareto import ParetoArchive
from service.controller.runner import Runner
from service.reports.front import front_view
from service.reports.score_columns import ColumnsCache, ScoreColumns, read_columns
from service.settings import Settings
from service.store.database import Database
from service.store.repository import Repository
from tests.service.scripted_workforce import ScriptedWorkforce
from tests.service.small_experiments import add_experiment, with_optimizer

ARRAYS = ("numbers", "violations", "told", "values", "errors", "items", "parts")


def alike(one: ScoreColumns, other: ScoreColumns) -> bool:
    return all(np.array_equal(getattr(one, n), getattr(other, n), equal_nan=True) for n in ARRAYS)


@pytest.mark.parametrize("changes", [{}, {"rotation": {"items": 16, "elites": 2}}], ids=["whole", "rotation"])
def test_kept_columns_are_at_every_event_what_a_fresh_look_finds(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    row = add_experiment(sqlite_database, **with_optimizer("nsga2"), **changes)
    cache, sizes = ColumnsCache(), []
    noted = Repository.add_event

    def look(repository: Repository, *arguments: Any) -> None:
        noted(repository, *arguments)
        experiment = repository.experiment(row.id)
        kept = cache.columns(repository.session, experiment, "search")
        assert alike(kept, read_columns(repository.session, experiment, "search"))
        sizes.append(len(kept.numbers))

    monkeypatch.setattr(Repository, "add_event", look)
    assert Runner(sqlite_database, ScriptedWorkforce(benchmarks=("words", "sums")), Settings()).run_next()
    assert sizes == sorted(sizes)
    assert sizes[-1] == 12


def test_the_front_of_columns_is_that_of_an_archive_which_was_told_one_by_one(
    sqlite_database: Database,
) -> None:
    row = add_experiment(sqlite_database, **with_optimizer("nsga2"))
    assert Runner(sqlite_database, ScriptedWorkforce(benchmarks=("words", "sums")), Settings()).run_next()
    with sqlite_database.reading() as session:
        experiment = Repository(session).experiment(row.id)
        columns = read_columns(session, experiment, "search")
        held_out = read_columns(session, experiment, "test")
    archive = ParetoArchive()
    for index in np.argsort(~columns.is_baseline, kind="stable").tolist():
        if archive.reference is None and not columns.is_baseline[index]:
            archive.fix_reference()
        fitness = (columns.values[index] * columns.signs).tolist()
        archive.add(int(columns.numbers[index]), fitness, float(columns.scalars[index]))
    view = front_view(columns, experiment, dominated=1, beside=(held_out,))
    told = {point.number: point.scores for point in (*view.front, *view.baselines, *view.dominated)}
    assert view.winner is not None
    assert list(told[view.winner]) == ["search", "test"]
    assert all("search" in scores for scores in told.values())
    assert tuple(point.number for point in view.front) == archive.front
    assert view.hypervolume == pytest.approx(archive.hypervolume)
    assert len(view.dominated) <= 2
    listed = len(view.front) + sum(p.number not in archive.front for p in view.baselines)
    assert listed + view.dominated_total == len(columns.numbers)
