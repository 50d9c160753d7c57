"""The search loop over a list and a scripted workforce: no database, no models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from search_spaces import Recipe
from service.errors import ReplayMismatchError
from service.optimizers import OPTIMIZERS
from service.search.journal import ControlRequest, ListJournal
from service.search.loop import SearchLoop
from service.search.plan import Ending
from service.specification.planning import build_optimizer_for, build_space_for, plan_for, window_for
from tests.service.scripted_workforce import LOST, NAN, Mishap, ScriptedWorkforce
from tests.service.small_experiments import facts_for, small_spec, with_optimizer
from workers.protocol.messages import Failed, Scored

OBJECTIVES = ("words", "sums")


@pytest.fixture(params=sorted(OPTIMIZERS))
def algorithm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def loop_over(
    journal: ListJournal, workforce: ScriptedWorkforce, *, first_budget: int | None = None, **changes: Any
) -> SearchLoop:
    spec = small_spec(**changes)
    facts = facts_for(spec) | {"first_budget": first_budget}
    space = build_space_for(spec, facts)
    optimizer = build_optimizer_for(spec, space, facts)
    plan = plan_for(spec, facts, window=window_for(spec, optimizer, facts, workers=1))
    return SearchLoop(plan, space=space, optimizer=optimizer, workforce=workforce, journal=journal)


def run(
    *, slots: int = 1, order: str = "first", script: Mapping[Any, Mishap] | None = None, **changes: Any
) -> tuple[ListJournal, Ending]:
    journal = ListJournal()
    workforce = ScriptedWorkforce(slots=slots, order=order, script=script, benchmarks=OBJECTIVES)
    return journal, loop_over(journal, workforce, **changes).run()


def essence(journal: ListJournal) -> list[tuple[object, ...]]:
    """Everything that counts of a run: no ids, no times."""
    return [
        (
            each.candidate.number,
            each.candidate.genome,
            each.candidate.recipe,
            each.told,
            each.outcome.scores if isinstance(each.outcome, Scored) else None,
        )
        for each in journal.recall()
    ]


def test_generation_0_holds_the_baselines_and_the_budget_is_spent_exactly(algorithm: str) -> None:
    journal, ending = run(**with_optimizer(algorithm), budget={"candidates": 10})
    labels = [each.candidate.label for each in journal.recall()]
    assert ending is Ending.BUDGET_SPENT
    assert labels == ["parent: left", "parent: right", "base: base", "plain average"] + [None] * 10
    assert [each.candidate.generation for each in journal.recall()] == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 2
    assert all(isinstance(each.outcome, Scored) for each in journal.recall())
    assert [each.told for each in journal.recall()] == list(range(14))


@pytest.mark.parametrize(("slots", "order"), [(2, "last"), (3, "any"), (16, "any")])
def test_any_number_of_workers_gives_the_same_candidates(algorithm: str, slots: int, order: str) -> None:
    alone, _ = run(**with_optimizer(algorithm))
    together, _ = run(slots=slots, order=order, **with_optimizer(algorithm))
    assert essence(together) == essence(alone)
    assert together.progress == alone.progress


def test_a_failed_candidate_is_noted_and_the_run_goes_on(algorithm: str) -> None:
    journal, ending = run(script={5: Mishap("merge_failed")}, **with_optimizer(algorithm))
    assert ending is Ending.BUDGET_SPENT
    outcome = journal.entries[5].outcome
    assert isinstance(outcome, Failed)
    assert (outcome.failure.code, outcome.failure.remedy) == ("merge_failed", "look at the script")
    assert all(isinstance(e.outcome, Scored) for n, e in journal.entries.items() if n != 5)


def test_a_score_that_is_no_number_fails_the_candidate(algorithm: str) -> None:
    journal, ending = run(script={6: NAN}, **with_optimizer(algorithm))
    assert ending is Ending.BUDGET_SPENT
    outcome = journal.entries[6].outcome
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "bad_score"
    assert "nan" in outcome.failure.cause


def test_a_candidate_whose_worker_was_lost_is_tried_again() -> None:
    untroubled, _ = run()
    journal, _ = run(script={(5, 1): LOST, (5, 2): LOST})
    assert essence(journal) == essence(untroubled)
    outcome = journal.entries[5].outcome
    assert isinstance(outcome, Scored)
    assert outcome.attempt == 3


def test_a_candidate_that_kills_every_worker_is_given_up() -> None:
    journal, ending = run(script={5: LOST})
    outcome = journal.entries[5].outcome
    assert ending is Ending.BUDGET_SPENT
    assert isinstance(outcome, Failed)
    assert (outcome.failure.code, outcome.attempt) == ("worker_lost", 3)


def test_more_failures_than_the_budget_allows_end_the_run() -> None:
    _, ending = run(script={4: Mishap(), 5: Mishap(), 6: Mishap()}, budget={"candidates": 8, "failures": 2})
    assert ending is Ending.TOO_MANY_FAILURES
    _, ending = run(script={4: Mishap(), 5: Mishap()}, budget={"candidates": 8, "failures": 2})
    assert ending is Ending.BUDGET_SPENT


def test_equal_recipes_are_scored_once() -> None:
    journal, workforce = ListJournal(), ScriptedWorkforce(slots=4, benchmarks=OBJECTIVES)
    loop = loop_over(journal, workforce)
    loop.plan = replace(loop.plan, baselines=(*loop.plan.baselines, loop.plan.baselines[3]))
    loop.run()
    digests = [assignment.recipe.digest for assignment in workforce.submitted]
    assert len(digests) == len(set(digests))
    first, twin = journal.entries[3], journal.entries[4]
    assert isinstance(first.candidate.recipe, Recipe)
    assert first.candidate.recipe == twin.candidate.recipe
    assert isinstance(first.outcome, Scored)
    assert isinstance(twin.outcome, Scored)
    assert first.outcome.scores == twin.outcome.scores
    assert (twin.outcome.merge_seconds, twin.outcome.candidate) == (0.0, twin.candidate.id)


def test_baselines_that_the_space_can_express_are_told_to_the_optimizer() -> None:
    journal, _ = run()
    genomes = {each.candidate.label: each.candidate.genome for each in journal.recall()[:4]}
    assert genomes["parent: left"] == (1.0, 1.0, 0.0, 0.0)
    assert genomes["plain average"] == (0.5, 0.5, 0.5, 0.5)


def test_the_reference_is_the_worst_of_the_baselines_and_the_hypervolume_never_falls(algorithm: str) -> None:
    journal, _ = run(**with_optimizer(algorithm))
    scores = [e.outcome.scores for e in journal.recall()[:4] if isinstance(e.outcome, Scored)]
    worst = tuple(min(score[i].value for score in scores) for i in range(2))
    volumes = [progress.hypervolume for progress in journal.progress]
    assert {progress.reference for progress in journal.progress} == {worst}
    assert volumes == sorted(volumes)
    assert volumes[0] > 0


@pytest.mark.parametrize(
    ("control_request", "ending"),
    [
        (ControlRequest.PAUSE, Ending.PAUSED),
        (ControlRequest.CANCEL, Ending.CANCELLED),
        (ControlRequest.STOP, Ending.STOPPED),
    ],
)
def test_a_request_ends_the_run_before_the_next_generation(
    control_request: ControlRequest, ending: Ending
) -> None:
    journal = ListJournal()
    journal.requested = control_request
    assert loop_over(journal, ScriptedWorkforce(benchmarks=OBJECTIVES)).run() is ending
    assert journal.entries == {}


class WishfulJournal(ListJournal):
    """Makes a request after so many candidates were settled."""

    def __init__(self, control_request: ControlRequest, after: int) -> None:
        super().__init__()
        self.coming, self.after = control_request, after

    def settled(self, *arguments: Any) -> None:
        super().settled(*arguments)
        self.after -= 1
        if self.after == 0:
            self.requested = self.coming


def test_pausing_lets_candidates_on_a_worker_finish_and_resuming_goes_on_from_there(algorithm: str) -> None:
    undisturbed, _ = run(**with_optimizer(algorithm))
    journal = WishfulJournal(ControlRequest.PAUSE, after=6)
    workforce = ScriptedWorkforce(slots=3, benchmarks=OBJECTIVES)
    assert loop_over(journal, workforce, **with_optimizer(algorithm)).run() is Ending.PAUSED
    assert workforce.under_way == []
    settled = [each for each in journal.recall() if each.outcome is not None]
    assert 6 <= len(settled) < 12
    journal.requested = None
    assert loop_over(journal, workforce, **with_optimizer(algorithm)).run() is Ending.BUDGET_SPENT
    assert essence(journal) == essence(undisturbed)
    recipes = {r.digest for each in journal.recall() if isinstance(r := each.candidate.recipe, Recipe)}
    assert len(workforce.submitted) == len(recipes)  # nothing was scored twice


def test_cancelling_drops_what_is_on_the_workers() -> None:
    journal = WishfulJournal(ControlRequest.CANCEL, after=5)
    workforce = ScriptedWorkforce(slots=3, benchmarks=OBJECTIVES)
    assert loop_over(journal, workforce).run() is Ending.CANCELLED
    assert workforce.under_way == []
    assert any(each.outcome is None for each in journal.recall())


def test_a_run_whose_proposals_changed_does_not_go_on() -> None:
    journal = WishfulJournal(ControlRequest.STOP, after=6)
    workforce = ScriptedWorkforce(benchmarks=OBJECTIVES)
    loop_over(journal, workforce).run()
    journal.requested = None
    with pytest.raises(ReplayMismatchError, match="candidate 4"):
        loop_over(journal, workforce, seed=8).run()


def test_a_time_budget_ends_the_run_between_generations() -> None:
    _, ending = run(budget={"candidates": 8, "seconds": 1e-9})
    assert ending is Ending.TIME_SPENT
    journal = WishfulJournal(ControlRequest.STOP, after=6)
    workforce = ScriptedWorkforce(benchmarks=OBJECTIVES)
    loop_over(journal, workforce).run()
    journal.requested = None
    assert loop_over(journal, workforce, budget={"candidates": 8, "seconds": 1e-9}).run() is Ending.TIME_SPENT
    outcomes = [each.outcome for each in journal.recall()]
    assert len(outcomes) == 8  # the generation under way was finished, the next not begun
    assert all(outcomes)


def test_workers_that_are_being_restarted_are_waited_for() -> None:
    class Restarting(ScriptedWorkforce):
        waits = 0

        def next_outcome(self, timeout: float) -> Any:
            if not self.slots:
                self.waits += 1
                self.slots = int(self.waits > 2)
                return None
            return super().next_outcome(timeout)

    workforce = Restarting(slots=0, benchmarks=OBJECTIVES)
    assert loop_over(ListJournal(), workforce).run() is Ending.BUDGET_SPENT
    assert workforce.waits == 3


def test_a_search_ends_after_the_generation_that_reaches_the_target() -> None:
    whole, _ = run(budget={"candidates": 40})
    means = [progress.best for progress in whole.progress]
    target = means[3]
    assert target is not None
    journal, ending = run(budget={"candidates": 40, "target": target})
    assert ending is Ending.TARGET_REACHED
    assert len(journal.progress) == 1 + next(i for i, best in enumerate(means) if (best or 0.0) >= target)


def test_a_search_ends_when_nothing_better_came_for_a_while() -> None:
    flat = dict.fromkeys(range(4, 60), Mishap())  # what fails improves nothing
    journal, ending = run(script=flat, budget={"candidates": 40, "failures": 99, "stagnation": 10})
    assert ending is Ending.STAGNATED
    evolved = [e for e in journal.recall() if not e.candidate.is_baseline]
    assert 10 <= len(evolved) < 20


def test_a_search_that_stagnated_stays_so_after_a_restart() -> None:
    flat = dict.fromkeys(range(4, 60), Mishap())
    budget = {"candidates": 40, "failures": 99, "stagnation": 10}
    journal, _ = run(script=flat, budget=budget)
    before = essence(journal)
    workforce = ScriptedWorkforce(benchmarks=OBJECTIVES)
    assert loop_over(journal, workforce, budget=budget).run() is Ending.STAGNATED
    assert essence(journal) == before
    assert not workforce.submitted


def test_a_search_ends_where_further_candidates_promise_too_little_and_says_what_they_promise() -> None:
    changes = {**with_optimizer("item_surrogate"), "budget": {"candidates": 60, "least_gain": 0.9}}
    journal, workforce = ListJournal(), ScriptedWorkforce(benchmarks=OBJECTIVES)
    loop = loop_over(journal, workforce, **changes)
    assert loop.run() is Ending.NOTHING_TO_EXPECT
    assert re.fullmatch(
        r"nothing more to expect; expected: \+\d\.\d{3} ± \d\.\d{3} for 40 further candidates", loop.reason
    )
    before = essence(journal)
    assert sum(not each.candidate.is_baseline for each in journal.recall()) < 60
    again = loop_over(journal, ScriptedWorkforce(benchmarks=OBJECTIVES), **changes)
    assert again.run() is Ending.NOTHING_TO_EXPECT
    assert (essence(journal), again.reason) == (before, loop.reason)
    _, ending = run(**(changes | {"budget": {"candidates": 12, "least_gain": 1e-9}}))
    assert ending is Ending.BUDGET_SPENT


def test_gpu_hours_end_the_run_and_count_again_after_a_restart() -> None:
    worked = 0.012  # seconds that the script says of each candidate
    budget = {"candidates": 40, "gpu_hours": 13 * worked / 3600}
    journal, ending = run(budget=budget)
    assert ending is Ending.GPU_HOURS_SPENT
    assert len(journal.entries) == 16  # four baselines, and the generations that were begun before
    workforce = ScriptedWorkforce(benchmarks=OBJECTIVES)
    assert loop_over(journal, workforce, budget=budget).run() is Ending.GPU_HOURS_SPENT
    assert not workforce.submitted


def test_candidates_that_break_a_constraint_are_neither_best_nor_on_the_front() -> None:
    constraints = [{"objective": "sums", "at_most": 0.3}]
    journal, _ = run(constraints=constraints, budget={"candidates": 24})
    sums = {n: e.outcome.scores[1].value for n, e in journal.entries.items() if isinstance(e.outcome, Scored)}
    violations = {number: each.violation for number, each in journal.entries.items()}
    assert all((violations[number] > 0) == (value > 0.3) for number, value in sums.items())
    assert any(violations.values())
    assert not any(violations[number] for number in journal.progress[-1].front)
