"""Searches whose generations leave their weaker part behind, rung by rung."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from service.search.journal import ListJournal
from service.search.loop import SearchLoop
from service.search.plan import Ending
from tests.service.crashes import Fuse, Killed, MortalWorkforce
from tests.service.scripted_workforce import ITEMS, Mishap, ScriptedWorkforce, score_of
from tests.service.search.test_search_loop import essence, loop_over
from tests.service.small_experiments import with_optimizer
from workers.protocol.messages import Scored

HALVING: dict[str, Any] = {
    "objectives": [{"task": "words"}],
    "budget": {"candidates": 32},
    "halving": {"first": 8, "eta": 2.0},
    "optimizer": {"algorithm": "cma_es", "population": 8},
}


def halved(
    *, slots: int = 1, script: dict[Any, Mishap] | None = None, **changes: Any
) -> tuple[ListJournal, SearchLoop, ScriptedWorkforce]:
    journal = ListJournal()
    force = ScriptedWorkforce(slots=slots, order="any", script=script, benchmarks=("words",))
    loop = loop_over(journal, force, **(HALVING | changes))
    assert loop.run() is Ending.BUDGET_SPENT
    return journal, loop, force


def outcomes(journal: ListJournal, generation: int) -> dict[int, Scored]:
    return {
        r.candidate.number: r.outcome
        for r in journal.recall()
        if isinstance(r.outcome, Scored) and r.candidate.generation == generation
    }


def test_each_rung_asks_twice_the_items_of_half_the_candidates() -> None:
    found = outcomes(halved()[0], 1)
    assert sorted(len(outcome.scores[0].per_item) for outcome in found.values()) == [8] * 4 + [16] * 2 + [
        32,
        64,
    ]
    assert [outcome.pruned for outcome in found.values()].count(False) == 1


def test_nothing_is_asked_twice() -> None:
    journal, _, force = halved(budget={"candidates": 8})
    for outcome in outcomes(journal, 1).values():
        answered = len(outcome.scores[0].per_item)
        if outcome.pruned:  # the last assignment asks what lies beyond the rung before
            assert outcome.asked == (8 if answered == 8 else answered // 2)
    top = next(a for a in force.submitted if a.items is None and a.number >= 4)
    assert [len(score.per_item) for score in top.known] == [32]
    assert len({(a.number, a.items) for a in force.submitted}) == len(force.submitted)


def test_who_was_left_behind_is_worth_less_than_who_was_not_and_never_the_best() -> None:
    journal, loop, _ = halved()
    for generation in range(1, 5):
        found = outcomes(journal, generation)
        top = [outcome.scores[0].value for outcome in found.values() if not outcome.pruned]
        assert max(top) >= max(outcome.scores[0].value for outcome in found.values())
    best = loop.progress.archive.best
    assert best is not None
    entry = journal.entries[best[0]]
    assert isinstance(entry.outcome, Scored)
    assert not entry.outcome.pruned
    assert entry.outcome.scores[0].per_item == score_of(entry.candidate.recipe, "words").per_item  # type: ignore[arg-type]


@pytest.mark.parametrize("slots", [3, 16])
def test_any_number_of_workers_gives_the_same_run(slots: int) -> None:
    assert essence(halved(slots=slots)[0]) == essence(halved()[0])


@pytest.mark.parametrize("rotation", [None, {"items": 32, "elites": 1}])
def test_a_run_that_was_interrupted_goes_on_as_if_it_had_not_been(rotation: Any) -> None:
    whole = halved(rotation=rotation)[0]
    journal = ListJournal()
    for steps in (13, 25, 37, 49, None):
        force = MortalWorkforce(Fuse(steps), slots=3, benchmarks=("words",))
        with suppress(Killed):
            loop_over(journal, force, **(HALVING | {"rotation": rotation})).run()
    assert essence(journal) == essence(whole)


def test_a_candidate_that_fails_on_a_rung_delays_no_other() -> None:
    journal, _, _ = halved(script={6: Mishap()})
    found = outcomes(journal, 1)
    assert 6 not in found
    assert [outcome.pruned for outcome in found.values()].count(False) == 1


@pytest.mark.parametrize("algorithm", ["nsga2", "genome"])
def test_population_methods_are_told_estimates_of_those_left_behind(algorithm: str) -> None:
    journal, _, _ = halved(**with_optimizer(algorithm))
    assert any(outcome.pruned for outcome in outcomes(journal, 2).values())


def test_the_top_of_a_part_of_the_items_has_answered_that_part() -> None:
    journal, _, _ = halved(rotation={"items": 32, "elites": 0})
    sizes = sorted(len(outcome.scores[0].per_item) for outcome in outcomes(journal, 1).values())
    assert sizes == [8] * 4 + [16] * 2 + [32] * 2
    assert ITEMS == 64
