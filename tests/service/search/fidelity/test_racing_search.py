"""Searches in which candidates race the best one so far."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from service.search.journal import ListJournal
from service.search.loop import SearchLoop
from service.search.plan import Ending
from tests.service.crashes import Fuse, Killed, MortalWorkforce
from tests.service.scripted_workforce import ITEMS, ScriptedWorkforce
from tests.service.search.test_search_loop import essence, loop_over
from tests.service.small_experiments import with_optimizer
from workers.protocol.messages import Scored

RACING: dict[str, Any] = {
    "objectives": [{"task": "words", "allow_few_items": True}],
    "budget": {"candidates": 60},
    "racing": {"z": 1.0, "batch": 8},
}


def raced(*, slots: int = 1, **changes: Any) -> tuple[ListJournal, SearchLoop]:
    journal, force = ListJournal(), ScriptedWorkforce(slots=slots, order="any", benchmarks=("words",))
    loop = loop_over(journal, force, **(RACING | with_optimizer("cma_es") | changes))
    assert loop.run() is Ending.BUDGET_SPENT
    return journal, loop


def outcomes(journal: ListJournal) -> dict[int, Scored]:
    return {r.candidate.number: r.outcome for r in journal.recall() if isinstance(r.outcome, Scored)}


def test_who_has_lost_is_not_asked_the_rest_and_is_never_the_best() -> None:
    journal, loop = raced()
    found = outcomes(journal)
    pruned = {number for number, outcome in found.items() if outcome.pruned}
    baselines = {r.candidate.number for r in journal.recall() if r.candidate.is_baseline}
    best = loop.progress.archive.best

    assert pruned
    assert not pruned & baselines
    assert best is not None
    assert best[0] not in pruned
    assert all(len(found[number].scores[0].item_indices) < ITEMS for number in pruned)
    assert all(not found[number].scores[0].item_indices for number in found.keys() - pruned)


def test_races_save_items() -> None:
    assert (
        sum(outcome.asked or 0 for outcome in outcomes(raced()[0]).values() if outcome.pruned)
        < 60 * ITEMS / 2
    )


@pytest.mark.parametrize("slots", [3, 8])
def test_races_do_not_depend_on_how_many_workers_there_are(slots: int) -> None:
    assert essence(raced(slots=slots)[0]) == essence(raced()[0])


@pytest.mark.parametrize("told", ["estimate", "worst", "discard"])
def test_a_run_that_was_interrupted_races_on_as_if_it_had_not_been(told: str) -> None:
    changes = RACING | with_optimizer("cma_es") | {"racing": {"z": 1.0, "batch": 8, "told": told}}
    whole, _ = raced(**changes)
    journal = ListJournal()
    for steps in (30, 50, None):
        force = MortalWorkforce(Fuse(steps), slots=3, benchmarks=("words",))
        with suppress(Killed):
            loop_over(journal, force, **changes).run()
    assert essence(journal) == essence(whole)


def test_without_races_everybody_is_asked_everything() -> None:
    journal, _ = raced(racing=None)
    assert not any(outcome.pruned for outcome in outcomes(journal).values())


def test_with_several_objectives_what_may_be_better_in_one_is_asked_on() -> None:
    two: dict[str, Any] = {"objectives": [{"task": "sums"}, {"task": "words", "weight": 2.0}]}
    journal, force = ListJournal(), ScriptedWorkforce(slots=3, order="any", benchmarks=("words", "sums"))
    loop = loop_over(journal, force, **(RACING | two | with_optimizer("nsga2")))
    assert loop.run() is Ending.BUDGET_SPENT
    found = outcomes(journal)
    pruned = {number for number, outcome in found.items() if outcome.pruned}
    assert pruned
    assert not pruned & set(loop.progress.archive.front)
    best = {number: one for number, one in found.items() if number in loop.progress.archive.front}
    for number in pruned:
        values = [score.fitness for score in found[number].scores]
        assert any(
            all(v < s.fitness for v, s in zip(values, one.scores, strict=True)) for one in best.values()
        )


def test_races_on_several_objectives_go_with_rotating_items() -> None:
    two: dict[str, Any] = {"objectives": [{"task": "words"}, {"task": "sums"}], "rotation": {"items": 32}}

    def run(slots: int) -> ListJournal:
        journal = ListJournal()
        force = ScriptedWorkforce(slots=slots, order="any", benchmarks=("words", "sums"))
        assert (
            loop_over(journal, force, **(RACING | two | with_optimizer("nsga2"))).run() is Ending.BUDGET_SPENT
        )
        return journal

    journal = run(1)
    assert any(outcome.pruned for outcome in outcomes(journal).values())
    assert essence(run(4)) == essence(journal)
