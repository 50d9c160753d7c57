from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from evaluators import Score, Split
from evaluators.conditions import CONDITIONS, STANDARD
from search_spaces import Recipe
from service.controller.runner import Runner
from service.errors import ConflictError
from service.examination.finalists import best_of, finalists, optimism, violations_of
from service.examination.protocol import examine
from service.experiment.candidate import MEAN_LABEL, Candidate, Remembered
from service.experiment.findings import ExaminationFindings
from service.experiment.status import ExperimentStatus
from service.reports.experiments import experiment_view
from service.settings import Settings
from service.store.database import Database
from service.store.examination_record import ExaminationRecord
from service.store.journal import DatabaseJournal
from service.store.models import CandidateRow, EventRow, ExperimentRow
from service.store.repository import Repository
from service.store.rows import objectives_of
from tests.service.kinds import kind_of
from tests.service.scripted_workforce import Mishap, ScriptedWorkforce
from tests.service.small_experiments import add_experiment, reload, small_spec
from workers.protocol.messages import Assignment, Outcome, Scored

OBJECTIVES = ("words", "sums")
WEIGHTS = (1.0, 1.0)


def remembered(
    number: int, *values: float, label: str | None = None, weight: float | None = None
) -> Remembered:
    """Returns a scored candidate; those of equal weight have equal recipes."""
    source = {"parent": "/m/a", "parameters": {"weight": [{"value": number if weight is None else weight}]}}
    recipe = Recipe.model_validate({"method": "linear", "slices": [{"sources": [source]}]})
    candidate = Candidate(uuid4(), number, 1, None, recipe, label, kind=kind_of(label))
    return Remembered(candidate, scored(candidate, *values) if values else None)


def scored(candidate: Candidate, *values: float) -> Scored:
    scores = tuple(Score(f"b{i}", "acc,none", value, 0.1, True) for i, value in enumerate(values))
    return Scored(candidate.id, 1, scores, 0.1, 0.1, "w0")


def numbers(chosen: list[Candidate]) -> list[int]:
    return [candidate.number for candidate in chosen]


def test_finalists_are_the_best_the_front_and_all_baselines() -> None:
    everyone = [
        remembered(0, 0.1, 0.1, label="parent: left"),
        remembered(1, 0.5, 0.5),
        remembered(2, 0.6, 0.6),  # the best
        remembered(3, 0.9, 0.0),  # on the front
        remembered(4, 0.0, 0.85),  # on the front, but there is no room
        remembered(5),  # it failed
        remembered(6, 0.4, 0.4),
    ]
    assert numbers(finalists(everyone, WEIGHTS, 1)) == [0, 2, 3]
    assert numbers(finalists(everyone, WEIGHTS, 2)) == [0, 1, 2, 3, 4]


def test_those_that_break_constraints_are_finalists_and_winners_last() -> None:
    everyone = [
        replace(remembered(0, 0.9, 0.9, label="parent: left"), violation=0.2),
        remembered(1, 0.2, 0.2),
        replace(remembered(2, 0.8, 0.8), violation=0.1),
        remembered(3, 0.1, 0.3),
    ]
    assert numbers(finalists(everyone, WEIGHTS, 1)) == [0, 1, 3]
    outcomes = {r.candidate.number: r.outcome for r in everyone if r.outcome is not None}
    assert best_of(outcomes, WEIGHTS, violations_of(everyone)) == 1
    assert best_of(outcomes, WEIGHTS) == 0
    breaking = {number: outcomes[number] for number in (0, 2)}
    assert best_of(breaking, WEIGHTS, violations_of(everyone)) == 2
    mean = remembered(4, 0.9, 0.9, label=MEAN_LABEL)
    assert violations_of([mean]) == {4: float("inf")}


def searched(row: CandidateRow, objective: str) -> float:
    return next(e.value for e in row.evaluations if e.split == "search" and e.benchmark == objective)


def candidates_of(database: Database, row: ExperimentRow) -> tuple[list[CandidateRow], CandidateRow]:
    """Returns all candidates, and the winner."""
    assert row.winner is not None
    with database.reading() as session:
        rows = list(Repository(session).candidates(row.id))
    return rows, rows[row.winner["number"]]


def test_a_winner_keeps_the_constraints(sqlite_database: Database) -> None:
    free = drive(sqlite_database, ScriptedWorkforce(benchmarks=OBJECTIVES))
    rows, won = candidates_of(sqlite_database, free)
    most = min(searched(row, "words") for row in rows if row.label)
    assert searched(won, "words") > most
    bound = {"objective": "words", "at_most": most}  # which a baseline keeps, and that winner does not
    row = drive(sqlite_database, ScriptedWorkforce(benchmarks=OBJECTIVES), name="bound", constraints=[bound])
    _, won = candidates_of(sqlite_database, row)
    assert not won.violation
    assert searched(won, "words") <= most


def test_equal_recipes_are_examined_once() -> None:
    everyone = [
        remembered(0, 0.5, 0.5, label="plain average", weight=0.5),
        remembered(1, 0.5, 0.5, weight=0.5),
        remembered(2, 0.6, 0.6, weight=0.6),
        remembered(3, 0.6, 0.6, weight=0.6),
        remembered(4, 0.4, 0.4, weight=0.4),
    ]
    assert numbers(finalists(everyone, WEIGHTS, 2)) == [0, 2, 4]


def test_the_best_is_by_weighted_mean_and_the_first_of_equals() -> None:
    candidates = [remembered(n).candidate for n in range(3)]
    values = ((0.4, 0.6), (0.6, 0.4), (0.5, 0.5))
    outcomes = {n: scored(candidate, *values[n]) for n, candidate in enumerate(candidates)}
    assert best_of(outcomes, (1.0, 1.0)) == 0
    assert best_of(outcomes, (3.0, 1.0)) == 1
    assert best_of({}, (1.0,)) is None


def test_optimism_is_positive_where_the_search_flattered_whatever_the_direction() -> None:
    def one(value: float, *, higher: bool) -> Scored:
        return Scored(uuid4(), 1, (Score("b", "m", value, 0.0, higher),), 0.0, 0.0, "w0")

    assert optimism(one(0.75, higher=True), one(0.5, higher=True)) == {"b": 0.25}
    assert optimism(one(0.5, higher=False), one(0.75, higher=False)) == {"b": 0.25}
    assert optimism(one(0.5, higher=False), None) == {}


class Selective(ScriptedWorkforce):
    """Scores candidates on the selection split as told, and everything else as always."""

    def __init__(self, selection: dict[int, float], failing: frozenset[Split] = frozenset()) -> None:
        super().__init__(benchmarks=OBJECTIVES)
        self.selection, self.failing = selection, failing

    def answer(self, assignment: Assignment) -> Outcome:
        if assignment.split in self.failing:
            self.script[assignment.number] = Mishap("timeout")
        outcome = super().answer(assignment)
        if assignment.split == "selection" and isinstance(outcome, Scored):
            value = self.selection.get(assignment.number, 0.0)
            scores = tuple(Score(s.benchmark, s.metric, value, 0.1, True) for s in outcome.scores)
            return Scored(outcome.candidate, outcome.attempt, scores, 0.1, 0.1, "w0")
        return outcome


def drive(database: Database, workforce: ScriptedWorkforce, **changes: Any) -> ExperimentRow:
    row = add_experiment(database, **changes)
    Runner(database, workforce, Settings()).run_next()
    return reload(database, row)


def splits_of(database: Database, row: ExperimentRow) -> dict[int, set[str]]:
    with database.reading() as session:
        rows: list[CandidateRow] = Repository(session).candidates(row.id)
    return {candidate.number: {e.split for e in candidate.evaluations} for candidate in rows}


def test_the_selection_split_picks_the_winner(sqlite_database: Database) -> None:
    everyone = dict.fromkeys(range(12), 0.5)
    first = drive(sqlite_database, ScriptedWorkforce(benchmarks=OBJECTIVES), name="a rehearsal")
    examined = [n for n, splits in splits_of(sqlite_database, first).items() if "selection" in splits]
    chosen = examined[-1]
    row = drive(sqlite_database, Selective(everyone | {chosen: 0.9}))
    assert row.winner is not None
    assert row.winner["number"] == chosen
    assert set(row.winner["optimism"]) == set(OBJECTIVES)


def test_a_baseline_wins_where_nothing_evolved_is_better(sqlite_database: Database) -> None:
    row = drive(sqlite_database, Selective({2: 0.9}))
    assert row.winner is not None
    assert row.winner["number"] == 2
    assert row.status is ExperimentStatus.SUCCEEDED


def test_finalists_and_baselines_are_scored_on_held_out_splits_and_no_other_candidate(
    sqlite_database: Database,
) -> None:
    force = ScriptedWorkforce(benchmarks=OBJECTIVES)
    row = drive(sqlite_database, force)
    splits = splits_of(sqlite_database, row)
    examined = {number for number, names in splits.items() if "selection" in names}
    assert {0, 1, 2, 3} < examined
    assert 2 <= len(examined) - 4 <= 4
    tested = {number for number, names in splits.items() if "test" in names}
    assert row.winner is not None
    assert {0, 1, 2, 3, row.winner["number"]} <= tested <= examined
    assert all(splits[number] == {"search"} for number in splits.keys() - examined)
    sent = [(a.number, a.split) for a in force.submitted if a.conditions == STANDARD]
    assert len(sent) == len(set(sent))  # the test split is touched once
    varied = [a for a in force.submitted if a.conditions != STANDARD]
    assert {a.split for a in varied} == {"selection"}
    assert [a.conditions for a in varied] == list(CONDITIONS)


def test_the_examination_comes_after_the_last_tell(sqlite_database: Database) -> None:
    row = drive(sqlite_database, ScriptedWorkforce(benchmarks=OBJECTIVES))
    with sqlite_database.reading() as session:
        kinds = [event.kind for event in Repository(session).events(experiment_id=row.id)]
    assert max(i for i, k in enumerate(kinds) if k == "generation.told") < kinds.index("candidate.examined")


def test_what_was_examined_before_a_crash_is_not_examined_again(sqlite_database: Database) -> None:
    row = drive(sqlite_database, ScriptedWorkforce(benchmarks=OBJECTIVES))
    force = ScriptedWorkforce(benchmarks=OBJECTIVES)
    winner = examine(
        DatabaseJournal(sqlite_database, row.id, row.epoch), force, small_spec(), objectives_of(row)
    )
    assert force.submitted == []
    assert row.winner is not None
    assert getattr(winner, "number", None) == row.winner["number"]


def test_a_winner_whose_test_fails_is_still_the_winner(sqlite_database: Database) -> None:
    row = drive(sqlite_database, Selective({2: 0.9}, failing=frozenset({"test"})))
    assert row.winner is not None
    assert (row.winner["number"], row.winner["optimism"]) == (2, {})
    found = ExaminationFindings.model_validate(row.winner["examination"])
    assert [objective.test for objective in found.objectives] == [None, None]
    assert any("no test score" in warning for warning in found.warnings)


def test_when_no_finalist_can_be_scored_the_experiment_fails(sqlite_database: Database) -> None:
    row = drive(sqlite_database, Selective({}, failing=frozenset({"selection"})))
    assert row.status is ExperimentStatus.FAILED
    assert row.failure is not None
    assert "selection split" in row.failure["cause"]


@pytest.mark.parametrize("count", [1, 3])
def test_the_number_of_finalists_is_the_users(sqlite_database: Database, count: int) -> None:
    row = drive(sqlite_database, ScriptedWorkforce(benchmarks=OBJECTIVES), examination={"finalists": count})
    examined = [n for n, splits in splits_of(sqlite_database, row).items() if "selection" in splits]
    assert count <= len(examined) - 4 <= 2 * count


def test_opening_the_test_split_is_recorded_once_and_for_all(sqlite_database: Database) -> None:
    row = drive(sqlite_database, ScriptedWorkforce(benchmarks=OBJECTIVES))
    assert row.test_opened_at is not None
    with sqlite_database.reading() as session:
        events = Repository(session).events(experiment_id=row.id)
    kinds = [event.kind for event in events]
    (opened,) = [event for event in events if event.kind == "test_split.opened"]
    tested = [e for e in events if e.kind == "candidate.examined" and e.payload["split"] == "test"]
    assert opened.payload["numbers"] == [event.payload["number"] for event in tested]
    assert kinds.index("test_split.opened") < min(event_place(events, event) for event in tested)
    record = ExaminationRecord(DatabaseJournal(sqlite_database, row.id, row.epoch), "test")
    record.open(opened.payload["numbers"])  # a controller that goes on after a crash
    with pytest.raises(ConflictError, match="read before"):
        record.open([1])
    assert reload(sqlite_database, row).test_opened_at == row.test_opened_at


def event_place(events: Sequence[EventRow], event: EventRow) -> int:
    return [each.id for each in events].index(event.id)


def test_what_was_found_out_about_the_winner_is_stored_and_shown(sqlite_database: Database) -> None:
    row = drive(sqlite_database, ScriptedWorkforce(benchmarks=OBJECTIVES))
    with sqlite_database.reading() as session:
        view = experiment_view(Repository(session), row)
    assert view.winner is not None
    assert view.winner.test_opened_at == row.test_opened_at
    found = view.winner.examination
    assert found is not None
    assert [objective.name for objective in found.objectives] == list(OBJECTIVES)
    for objective in found.objectives:
        assert objective.search is not None
        assert objective.test is not None
        assert objective.optimism == pytest.approx(objective.search.value - objective.test.value)
        assert objective.optimism == pytest.approx(view.winner.optimism[objective.name])
    others = {comparison.label for comparison in found.comparisons} | {view.winner.label}
    assert {"parent: left", "parent: right", "plain average"} <= others
    assert sum(c.best_parent for c in found.comparisons) == len(OBJECTIVES)
    assert found.chances_on_front[0].number == view.winner.number


def test_the_mean_of_the_distribution_competes_and_may_win(sqlite_database: Database) -> None:
    settings = {"examination": {"finalists": 2}}
    row = drive(sqlite_database, ScriptedWorkforce(benchmarks=OBJECTIVES), name="with a mean", **settings)
    with sqlite_database.reading() as session:
        rows = Repository(session).candidates(row.id)
        view = experiment_view(Repository(session), row)
    *others, mean = rows
    assert [each.label for each in rows].count(MEAN_LABEL) == 1
    assert (mean.label, mean.told, mean.number) == (MEAN_LABEL, None, others[-1].number + 1)
    assert {evaluation.split for evaluation in mean.evaluations} >= {"search", "selection"}
    told = [each.genome for each in others if each.told is not None and each.label is None]
    assert mean.genome not in told
    assert view.progress.settled == view.progress.total == len(rows)
    again = drive(
        sqlite_database,
        Selective(dict.fromkeys(range(20), 0.5) | {mean.number: 0.9}),
        name="it wins",
        **settings,
    )
    assert again.winner is not None
    assert again.winner["number"] == mean.number


def test_what_has_no_distribution_has_no_mean(sqlite_database: Database) -> None:
    row = drive(
        sqlite_database,
        ScriptedWorkforce(benchmarks=OBJECTIVES),
        optimizer={"algorithm": "random", "population": 4},
        examination={"finalists": 2},
    )
    with sqlite_database.reading() as session:
        assert MEAN_LABEL not in [each.label for each in Repository(session).candidates(row.id)]
