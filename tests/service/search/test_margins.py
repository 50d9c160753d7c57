"""What optimizers are told of by how much items are right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from service.optimizers.base import Evaluation, OptimizerSetup
from service.optimizers.random_search import RandomSearch
from service.search.loop import SearchLoop
from service.search.plan import Ending
from service.specification.planning import build_optimizer_for, build_space_for, plan_for
from service.store.database import Database
from service.store.journal import DatabaseJournal
from service.store.models import ExperimentRow
from tests.service.scripted_workforce import ITEMS, ScriptedWorkforce
from tests.service.small_experiments import add_experiment, facts_for, small_spec
from workers.protocol.messages import Assignment, Outcome, Scored

RACING: dict[str, Any] = {
    "objectives": [{"task": "words", "allow_few_items": True}],
    "racing": {"z": 1.0, "batch": 8},
}


class Listener(RandomSearch):
    """Remembers what it is told."""

    reads_items = True

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self.told: list[Evaluation] = []

    def learn(self, evaluation: Evaluation) -> None:
        self.told.append(evaluation)


def listen(
    database: Database, row: ExperimentRow, workforce: ScriptedWorkforce, **changes: Any
) -> list[Evaluation]:
    """Drives an experiment to its end; returns what its optimizer was told on the way."""
    spec = small_spec(**changes)
    facts = facts_for(spec)
    space = build_space_for(spec, facts)
    listener = Listener(build_optimizer_for(spec, space, facts).setup)
    journal = DatabaseJournal(database, row.id, row.epoch)
    loop = SearchLoop(
        plan_for(spec, facts), space=space, optimizer=listener, workforce=workforce, journal=journal
    )
    assert loop.run() is Ending.BUDGET_SPENT
    return listener.told


class HalfKnown(ScriptedWorkforce):
    """Knows the margins of the first benchmark only."""

    def answer(self, assignment: Assignment) -> Outcome:
        outcome = super().answer(assignment)
        assert isinstance(outcome, Scored)
        first, second = outcome.scores
        return replace(outcome, scores=(first, replace(second, margins=())))


def test_margins_are_told_at_once_and_again_after_a_restart(database: Database) -> None:
    row = add_experiment(database)
    live = listen(database, row, ScriptedWorkforce(benchmarks=("words", "sums")))
    assert len(live) > 8
    for evaluation in live:
        assert [len(margins) for margins in evaluation.margins] == [ITEMS, ITEMS]
        for margins, items in zip(evaluation.margins, evaluation.items, strict=True):
            assert all((margin > 0) == bool(right) for margin, right in zip(margins, items, strict=True))
    restarted = ScriptedWorkforce(benchmarks=("words", "sums"))
    assert listen(database, row, restarted) == live
    assert restarted.submitted == []


def test_an_objective_without_margins_has_an_empty_entry(database: Database) -> None:
    row, force = add_experiment(database), HalfKnown(benchmarks=("words", "sums"))
    for evaluation in listen(database, row, force):
        assert [len(margins) for margins in evaluation.margins] == [ITEMS, 0]


def test_whoever_raced_has_no_margins(database: Database) -> None:
    row, force = add_experiment(database, **RACING), ScriptedWorkforce()
    told = listen(database, row, force, **RACING)
    raced = {assignment.number for assignment in force.submitted if assignment.race is not None}
    assert raced
    for evaluation in told:
        assert bool(evaluation.margins) == (evaluation.number not in raced)
    assert listen(database, row, ScriptedWorkforce(), **RACING) == told
