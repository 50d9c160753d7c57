"""Searches that end with a distribution's mean and are extended: as if the budget had been given at first."""

from __future__ import annotations

from typing import Any

import pytest

from service.controller.requests import extend
from service.controller.runner import Runner
from service.experiment.candidate import MEAN_LABEL
from service.experiment.status import ExperimentStatus
from service.settings import Settings
from service.store.database import Database
from service.store.models import CandidateRow, ExportRow
from service.store.repository import Repository
from tests.service.scripted_workforce import ScriptedWorkforce
from tests.service.small_experiments import add_experiment

ENDS: dict[str, Any] = {"examination": {"finalists": 2}}


def drive(database: Database, workforce: ScriptedWorkforce) -> None:
    Runner(database, workforce, Settings()).run_next()


def rows_of(database: Database, key: Any) -> list[CandidateRow]:
    with database.reading() as session:
        repository = Repository(session)
        assert repository.experiment(key).status is ExperimentStatus.SUCCEEDED
        rows: list[CandidateRow] = repository.candidates(key)
    return rows


@pytest.mark.parametrize("algorithm", ["cma_es", "item_surrogate"])
def test_an_extended_search_asks_what_it_would_have_asked_with_the_larger_budget(
    sqlite_database: Database, algorithm: str
) -> None:
    database, force = sqlite_database, ScriptedWorkforce(benchmarks=("words", "sums"))
    settings = ENDS | {"optimizer": {"algorithm": algorithm, "population": 4}}
    whole = add_experiment(database, name="whole", budget={"candidates": 20}, **settings)
    drive(database, force)
    key = add_experiment(database, name="extended", budget={"candidates": 8}, **settings).id
    drive(database, force)
    (first_mean,) = [row.number for row in rows_of(database, key) if row.label == MEAN_LABEL]
    with database.session() as session:
        Repository(session).create_export(key, first_mean, "out", {})
    for budget in (12, 20):
        with database.session() as session:
            repository = Repository(session)
            assert extend(repository, repository.experiment(key), {"candidates": budget})
        drive(database, force)

    def searched(of: Any) -> list[Any]:
        return [(row.number, row.genome) for row in rows_of(database, of) if row.label != MEAN_LABEL]

    assert searched(key) == searched(whole.id)
    means = [row for row in rows_of(database, key) if row.label == MEAN_LABEL]
    assert len({row.number for row in means}) == len(means) >= 2
    with database.reading() as session:
        (exported,) = session.query(ExportRow).filter_by(experiment_id=key).all()
        assert exported.candidate_number in {row.number for row in means}
