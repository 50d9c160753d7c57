"""Candidates asked for one by one: any workers, any crash, the same run; and no worker waits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.optimizers import OPTIMIZERS
from service.search.journal import ListJournal
from service.search.loop import SearchLoop
from service.search.plan import Ending
from tests.service.crashes import Fuse, Killed
from tests.service.scripted_workforce import Mishap, ScriptedWorkforce
from tests.service.search.test_search_loop import OBJECTIVES, essence, loop_over
from tests.service.small_experiments import OFTEN_USED, with_optimizer
from workers.protocol.messages import Assignment, Outcome, Scored

CANDIDATES, KILLS = 300, 50
RUNS = [
    pytest.param(
        name,
        is_steady,
        # The surrogate is fitted anew for every generation, or for every candidate: most of a minute.
        marks=[] if name in OFTEN_USED and name != "item_surrogate" else [pytest.mark.slow],
    )
    for name in sorted(OPTIMIZERS)
    for is_steady in (False, True)
]


@pytest.fixture(params=sorted(OPTIMIZERS))
def algorithm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def steady(algorithm: str, candidates: int = 40, **options: Any) -> dict[str, Any]:
    options = {"steady_state": True, "window": 8} | options
    budget = {"candidates": candidates, "failures": candidates}
    return {"budget": budget} | with_optimizer(algorithm, **options)


def finished(loop: SearchLoop) -> SearchLoop:
    assert loop.run() is Ending.BUDGET_SPENT
    return loop


def searched(*, slots: int = 1, order: str = "first", **changes: Any) -> tuple[ListJournal, SearchLoop]:
    journal, force = ListJournal(), ScriptedWorkforce(slots=slots, order=order, benchmarks=OBJECTIVES)
    return journal, finished(loop_over(journal, force, **changes))


def test_any_number_of_workers_gives_the_same_run(algorithm: str) -> None:
    alone, loop = searched(**steady(algorithm))
    for slots in (3, 8):
        together, other = searched(slots=slots, order="any", **steady(algorithm))
        assert essence(together) == essence(alone)
        assert together.progress == alone.progress
        assert other.progress.archive.front == loop.progress.archive.front


def test_a_candidate_is_asked_for_after_exactly_the_tells_its_number_says() -> None:
    journal, loop = searched(slots=3, order="any", **steady("differential_evolution"))
    for each in journal.recall():
        number = each.candidate.number
        assert each.candidate.asked_after == (0 if number < 4 else max(4, number - 7))
        assert each.told == number
    assert [progress.settled for progress in journal.progress] == list(range(4, 45, 4))
    assert loop.progress.archive.best is not None


class MortalJournal(ListJournal):
    """A list that survives its controller, who may die before and after each entry."""

    def __init__(self) -> None:
        super().__init__()
        self.fuse = Fuse(None)

    def proposed(self, *arguments: Any) -> None:
        self.fuse.step()
        super().proposed(*arguments)
        self.fuse.step()

    def settled(self, *arguments: Any) -> None:
        self.fuse.step()
        super().settled(*arguments)
        self.fuse.step()

    def told(self, *arguments: Any) -> None:
        self.fuse.step()
        super().told(*arguments)
        self.fuse.step()


@pytest.mark.parametrize(("algorithm", "is_steady"), RUNS)
def test_killed_fifty_times_a_run_of_three_hundred_ends_as_if_nothing_had_happened(
    algorithm: str, *, is_steady: bool
) -> None:
    changes = steady(algorithm, CANDIDATES, steady_state=is_steady, population=10)
    untroubled, loop = searched(**changes)
    journal, rng, deaths = MortalJournal(), np.random.default_rng(5), 0
    while True:
        steps = int(rng.integers(2, 56 if is_steady else 22)) if deaths < KILLS else None
        journal.fuse = Fuse(steps)
        slots = int(rng.choice([1, 3, 8]))
        force = ScriptedWorkforce(slots=slots, order="any", benchmarks=OBJECTIVES)
        survivor = loop_over(journal, force, **changes)
        try:
            survivor.run()
            break
        except Killed:
            deaths += 1
    assert deaths == KILLS
    assert essence(journal) == essence(untroubled)
    assert journal.progress == untroubled.progress
    assert survivor.progress.archive.front == loop.progress.archive.front
    assert survivor.progress.archive.hypervolume == loop.progress.archive.hypervolume


class Clockwork(ScriptedWorkforce):
    """Workers on a virtual clock: an evaluation lasts from one hour to four."""

    def __init__(self, slots: int) -> None:
        super().__init__(slots=slots, benchmarks=OBJECTIVES)
        self.now = self.busy = 0.0
        self.ends: dict[int, float] = {}

    def submit(self, assignment: Assignment) -> None:
        super().submit(assignment)
        hours = float(np.random.default_rng(assignment.number).uniform(1.0, 4.0))
        self.busy += hours
        self.ends[assignment.number] = self.now + hours

    def next_outcome(self, timeout: float) -> Outcome | None:
        self.under_way.sort(key=lambda assignment: self.ends[assignment.number])
        if self.under_way and timeout > 0:
            self.now = self.ends[self.under_way[0].number]
        return super().next_outcome(timeout)


@pytest.mark.parametrize("slots", [4, 8, 32])
@pytest.mark.parametrize("order", ["committed", "completed"])
def test_workers_are_busy_though_evaluations_last_one_to_four_hours(slots: int, order: str) -> None:
    window = 3 * slots if order == "committed" else slots
    changes = steady("random", 40 * slots, window=window, order=order)
    force = Clockwork(slots)
    finished(loop_over(ListJournal(), force, **changes))
    assert force.busy / (force.slots * force.now) >= 0.9


def test_workers_wait_where_generations_are_asked_for() -> None:
    force = Clockwork(8)
    changes = steady("random", 320, steady_state=False, population=8)
    finished(loop_over(ListJournal(), force, **changes))
    assert force.busy / (force.slots * force.now) < 0.8


def test_told_as_they_come_the_order_of_telling_is_what_is_remembered() -> None:
    changes = steady("differential_evolution", 40, order="completed")
    journal, force = MortalJournal(), ScriptedWorkforce(slots=3, order="last", benchmarks=OBJECTIVES)
    journal.fuse = Fuse(150)
    with pytest.raises(Killed):
        loop_over(journal, force, **changes).run()
    before = {e.candidate.number: e.told for e in journal.recall() if e.told is not None}
    assert any(number != told for number, told in before.items())
    journal.fuse = Fuse(None)
    loop = finished(loop_over(journal, ScriptedWorkforce(slots=2, benchmarks=OBJECTIVES), **changes))
    after = {e.candidate.number: e.told for e in journal.recall()}
    assert before.items() <= after.items()
    assert sorted(told for told in after.values() if told is not None) == list(range(44))
    again = finished(loop_over(journal, ScriptedWorkforce(benchmarks=OBJECTIVES), **changes))
    assert again.optimizer.ask(range(90, 99)) == loop.optimizer.ask(range(90, 99))


def test_failures_in_a_window_end_the_run_and_leave_nothing_open() -> None:
    journal = ListJournal()
    script: dict[int | tuple[int, int], Mishap] = {number: Mishap() for number in range(6, 40)}
    force = ScriptedWorkforce(slots=3, order="any", script=script, benchmarks=OBJECTIVES)
    changes = steady("random") | {"budget": {"candidates": 40, "failures": 3}}
    loop = loop_over(journal, force, **changes)
    assert loop.run() is Ending.TOO_MANY_FAILURES
    assert all(e.outcome is not None and e.told is not None for e in journal.recall())
    assert len(journal.entries) < 30


def test_a_longer_budget_goes_on_as_if_it_had_been_given_at_first(algorithm: str) -> None:
    # What goes by the budget (stages, cooling) keeps the one that it was built for.
    whole, _ = searched(first_budget=21, **steady(algorithm, 42))
    journal, _ = searched(**steady(algorithm, 21))
    force = ScriptedWorkforce(slots=2, benchmarks=OBJECTIVES)
    finished(loop_over(journal, force, first_budget=21, **steady(algorithm, 42)))
    assert essence(journal) == essence(whole)
    evolved = [e for e in journal.recall() if isinstance(e.outcome, Scored)]
    assert len({e.candidate.number for e in evolved}) == 46
