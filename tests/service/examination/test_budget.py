"""The examination's budget: who is asked what, when it ends, and that being killed changes nothing."""

from __future__ import annotations

import itertools
from typing import Any
from uuid import uuid4

from evaluators import Score
from service.controller.runner import Runner
from service.examination.sentences import sentences
from service.examination.stopping import clearly_worse
from service.experiment.examination_budget import ExaminationBudget
from service.experiment.examination_step import Step
from service.experiment.findings import ExaminationFindings
from service.experiment.status import ExperimentStatus
from service.reports.experiments import experiment_view
from service.settings import Settings
from service.store.database import Database
from service.store.models import ExperimentRow
from service.store.repository import Repository
from tests.service.crashes import Fuse, Killed, MortalWorkforce, end_all_leases, mortal
from tests.service.scripted_workforce import ITEMS, ScriptedWorkforce
from tests.service.small_experiments import add_experiment, final_state, reload
from workers.protocol.failure import Failure
from workers.protocol.messages import Failed, Scored

OBJECTIVES = ("words", "sums")
MODEL_SPLIT = ITEMS * len(OBJECTIVES)


def drive(database: Database, force: ScriptedWorkforce | None = None) -> None:
    Runner(database, force or ScriptedWorkforce(benchmarks=OBJECTIVES), Settings()).run_next()


def examined(database: Database, **budget: Any) -> tuple[ExperimentRow, ExaminationFindings]:
    settings = {"finalists": 2, "mean": False} | budget
    row = add_experiment(database, name=f"within {budget}", examination=settings)
    drive(database)
    row = reload(database, row)
    assert row.winner is not None
    return row, ExaminationFindings.model_validate(row.winner["examination"])


def answering(*right: int, items: int = 100) -> Scored:
    """Returns the outcome of a model that answers so many items right, per objective."""
    scores = (
        Score(f"b{i}", "acc", n / items, 0.05, True, (1.0,) * n + (0.0,) * (items - n))
        for i, n in enumerate(right)
    )
    return Scored(uuid4(), 1, tuple(scores), 0.1, 0.1, "w0")


def test_only_what_is_clearly_worse_on_every_objective_is_asked_no_further() -> None:
    leader = answering(60, 60)
    stop = clearly_worse(leader, answering(40, 55), among=10)
    assert stop is not None
    assert (stop.better, stop.worse) == (0, 25)
    assert clearly_worse(leader, answering(59, 60), among=10) is None  # it may be chance
    assert clearly_worse(leader, answering(20, 61), among=10) is None  # it has a strength
    seven = answering(57, 56)
    assert clearly_worse(leader, seven, among=1) is not None
    assert clearly_worse(leader, seven, among=10) is None  # ten chances to err
    assert clearly_worse(leader, answering(30, 30, items=50), among=1) is None  # other items


def test_a_budget_holds_back_what_must_be_asked_afterwards() -> None:
    spent = [Step(0, "selection", "", 100, 10.0), Step(1, "selection", "", 100, 10.0)]
    assert ExaminationBudget(items=400).allows(spent, 100, reserved=100)
    assert not ExaminationBudget(items=400).allows(spent, 100, reserved=101)
    assert ExaminationBudget(seconds=40.0).allows(spent, 100, reserved=100)
    assert not ExaminationBudget(seconds=39.0).allows(spent, 100, reserved=100)


def test_an_examination_asks_no_more_items_than_its_budget_and_says_so(sqlite_database: Database) -> None:
    row, found = examined(sqlite_database, max_items=6 * MODEL_SPLIT)
    with sqlite_database.reading() as session:
        steps, items, _ = Repository(session).examination_cost(row.id)
    assert (steps, items) == (6, 6 * MODEL_SPLIT)
    assert [bool(one.selection) for one in found.asked] == sorted(
        (bool(one.selection) for one in found.asked), reverse=True
    )
    assert sum(bool(one.selection) for one in found.asked) == 4
    assert any("of the" not in said and "budget" in said for said in found.warnings)
    assert any("left out by the budget" in said for said in sentences(found))
    winner = row.winner["number"] if row.winner else None
    assert next(one for one in found.asked if one.number == winner).test
    assert any(comparison.best_parent for comparison in found.comparisons)


def test_without_time_only_the_likeliest_winner_and_the_best_parent_are_asked(
    sqlite_database: Database,
) -> None:
    _, found = examined(sqlite_database, max_minutes=1e-9)
    assert [bool(one.selection) for one in found.asked[:3]] == [True, True, False]
    assert found.asked[1].label == "parent: left" or found.asked[1].label == "parent: right"
    assert sum(bool(one.test) for one in found.asked) == 2
    assert found.sensitivity == ()


def test_what_is_clearly_worse_is_not_asked_the_test_items(sqlite_database: Database) -> None:
    _, found = examined(sqlite_database)
    stopped = [one for one in found.asked if one.stopped == "worse"]
    assert stopped
    assert all(one.selection and not one.test for one in stopped)
    assert all(one.worse > one.better for one in stopped if one.worse is not None and one.better is not None)


def test_killed_anywhere_an_examination_finds_the_same(sqlite_database: Database) -> None:
    changes: dict[str, Any] = {
        "budget": {"candidates": 4},
        "examination": {"finalists": 2, "mean": False, "max_items": 9 * MODEL_SPLIT},
    }
    undisturbed = add_experiment(sqlite_database, name="undisturbed", **changes)
    fuse = Fuse(None)
    with mortal(sqlite_database, fuse):
        counting = CountingWorkforce(fuse, benchmarks=OBJECTIVES)
        drive(sqlite_database, counting)
    expected = final_state(sqlite_database, undisturbed)
    assert expected["status"] == "succeeded"
    for place in itertools.count(counting.searched + 1, 23):
        row = add_experiment(sqlite_database, name=f"killed at step {place}", **changes)
        fuse = Fuse(place)
        try:
            with mortal(sqlite_database, fuse):
                drive(sqlite_database, Frail(fuse, benchmarks=OBJECTIVES))
        except Killed:
            end_all_leases(sqlite_database)
            drive(sqlite_database, FrailHeir(slots=3, order="any", benchmarks=OBJECTIVES))
            assert final_state(sqlite_database, row) == expected, f"killed at step {place}"
        else:
            assert final_state(sqlite_database, row) == expected
            return


class FrailHeir(ScriptedWorkforce):
    """Fails one finalist on the selection split."""

    def answer(self, assignment: Any) -> Any:
        """Answers, or fails."""
        if (assignment.number, assignment.split) == (1, "selection"):
            failure = Failure("timeout", "it was scripted", "look at the script")
            return Failed(assignment.candidate, assignment.attempt, failure, "w0")
        return super().answer(assignment)


class Frail(FrailHeir, MortalWorkforce):
    """Dies as well."""


class CountingWorkforce(Frail):
    """Notes at which step the last candidate of the search was handed out."""

    searched = 0

    def submit(self, assignment: Any) -> None:
        """Takes an assignment."""
        super().submit(assignment)
        if assignment.split == "search":
            self.searched = self.fuse.taken


class Watched(ScriptedWorkforce):
    """Looks at the experiment's progress whenever it is to answer."""

    def __init__(self, database: Database) -> None:
        super().__init__(benchmarks=OBJECTIVES)
        self.database, self.seen = database, list[Any]()

    def answer(self, assignment: Any) -> Any:
        """Looks, and answers."""
        with self.database.reading() as session:
            repository = Repository(session)
            (row,) = repository.experiments(limit=1)
            if row.status is ExperimentStatus.EXAMINING:
                self.seen.append(experiment_view(repository, row).progress.examination)
        return super().answer(assignment)


def test_an_examination_under_way_says_how_far_it_is(sqlite_database: Database) -> None:
    row = add_experiment(sqlite_database)
    force = Watched(sqlite_database)
    drive(sqlite_database, force)
    done = [progress.done for progress in force.seen]
    assert done == list(range(len(done)))
    assert all(progress.done < progress.total for progress in force.seen)
    assert force.seen[-1].total == len(done)
    assert force.seen[0].words == f"examining: 0 of {force.seen[0].total} model-splits"
    assert "about 0 s left" in force.seen[-1].words
    with sqlite_database.reading() as session:
        assert experiment_view(Repository(session), reload(sqlite_database, row)).progress.examination is None
