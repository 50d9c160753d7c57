"""Searches whose generations answer a part of the items each, and whose elites answer again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from search_spaces import Recipe
from service.experiment.candidate import Remembered
from service.optimizers import OPTIMIZERS
from service.search.journal import ListJournal
from service.search.loop import SearchLoop
from service.search.plan import Ending
from tests.service.crashes import Fuse, Killed, MortalWorkforce
from tests.service.scripted_workforce import ITEMS, Mishap, ScriptedWorkforce, score_of
from tests.service.search.test_search_loop import essence, loop_over
from tests.service.small_experiments import with_optimizer
from workers.protocol.messages import Scored

ROTATING: dict[str, Any] = {
    "rotation": {"items": 16, "elites": 2},
    "budget": {"candidates": 24},
    "baselines": {"standard_recipes": False},
}
ABLE = sorted(name for name, kind in OPTIMIZERS.items() if kind.supports_reevaluation)


def rotated(
    *, slots: int = 1, script: Mapping[Any, Mishap] | None = None, algorithm: str = "nsga2", **changes: Any
) -> tuple[ListJournal, SearchLoop]:
    journal = ListJournal()
    force = ScriptedWorkforce(slots=slots, order="any", script=script, benchmarks=("words", "sums"))
    loop = loop_over(journal, force, **(ROTATING | with_optimizer(algorithm) | changes))
    assert loop.run() is Ending.BUDGET_SPENT
    return journal, loop


def by_generation(journal: ListJournal) -> dict[int, list[Remembered]]:
    found: dict[int, list[Remembered]] = {}
    for each in journal.recall():
        found.setdefault(each.candidate.generation, []).append(each)
    return found


def asked(each: Remembered) -> set[int]:
    assert isinstance(each.outcome, Scored)
    return set(each.outcome.scores[0].answers)


def with_again(journal: ListJournal) -> list[tuple[object, ...]]:
    again = [tuple((a.generation, a.answered) for a in each.again) for each in journal.recall()]
    return list(zip(essence(journal), again, strict=True))


def test_the_baselines_answer_everything_and_each_generation_a_part_of_its_own() -> None:
    generations = by_generation(rotated(rotation={"items": 16, "elites": 1})[0])
    assert all(asked(each) == set(range(ITEMS)) for each in generations[0])
    parts = []
    for number in range(1, 5):
        once = [asked(each) for each in generations[number] if not each.again]
        assert once
        assert all(part == once[0] for part in once)
        parts.append(once[0])
    assert [len(part) for part in parts] == [16] * 4
    assert set().union(*parts) == set(range(ITEMS))  # one turn asks them all


def test_elites_answer_later_generations_as_well() -> None:
    journal, _ = rotated()
    again = {each.candidate.number: each for each in journal.recall() if each.again}
    assert again
    for each in again.values():
        assert 16 < len(asked(each)) <= 16 * (1 + len(each.again))  # a second turn asks some again
        assert all(one.generation > each.candidate.generation for one in each.again)
    per_generation: dict[int, int] = {}
    for each in again.values():
        for one in each.again:
            per_generation[one.generation] = per_generation.get(one.generation, 0) + 1
    assert max(per_generation.values()) <= 2


def test_values_estimate_what_all_items_would_have_given() -> None:
    for each in rotated()[0].recall():
        assert isinstance(each.outcome, Scored)
        assert isinstance(each.candidate.recipe, Recipe)
        for score in each.outcome.scores:
            truth = score_of(each.candidate.recipe, score.benchmark).per_item
            assert abs(score.value - sum(truth) / ITEMS) < 3 * score.stderr


@pytest.mark.parametrize("algorithm", ABLE)
@pytest.mark.parametrize("slots", [3, 16])
def test_any_number_of_workers_gives_the_same_run(algorithm: str, slots: int) -> None:
    alone, together = rotated(algorithm=algorithm)[0], rotated(algorithm=algorithm, slots=slots)[0]
    assert with_again(together) == with_again(alone)
    assert together.progress == alone.progress


@pytest.mark.parametrize("algorithm", ABLE)
def test_a_run_that_was_interrupted_goes_on_as_if_it_had_not_been(algorithm: str) -> None:
    whole, _ = rotated(algorithm=algorithm)
    journal = ListJournal()
    for steps in (9, 20, 33, 41, None):
        force = MortalWorkforce(Fuse(steps), slots=3, benchmarks=("words", "sums"))
        with suppress(Killed):
            loop_over(journal, force, **(ROTATING | with_optimizer(algorithm))).run()
    assert with_again(journal) == with_again(whole)


def test_an_elite_whose_worker_fails_stays_what_it_was() -> None:
    journal, _ = rotated()
    number = next(each.candidate.number for each in journal.recall() if each.again)
    first = {number: "own"}

    class Breaks(ScriptedWorkforce):
        def answer(self, assignment: Any) -> Any:
            if assignment.number == number and first.pop(number, None) is None:
                self.script[number] = Mishap()
            return super().answer(assignment)

    broken = ListJournal()
    loop_over(broken, Breaks(benchmarks=("words", "sums")), **(ROTATING | with_optimizer("nsga2"))).run()
    entry = broken.entries[number]
    assert entry.again
    assert not entry.again[0].answered
    assert len(asked(entry)) == 16
    replayed = ListJournal()
    replayed.entries = dict(broken.entries)
    loop = loop_over(
        replayed, ScriptedWorkforce(benchmarks=("words", "sums")), **(ROTATING | with_optimizer("nsga2"))
    )
    assert loop.run() is Ending.BUDGET_SPENT
    assert with_again(replayed) == with_again(broken)


def test_candidates_race_on_their_generations_items() -> None:
    changes: dict[str, Any] = {
        "objectives": [{"task": "words"}],
        "racing": {"z": 0.5, "batch": 4},
        "budget": {"candidates": 40},
    }

    def run(slots: int) -> ListJournal:
        journal = ListJournal()
        force = ScriptedWorkforce(slots=slots, order="any", benchmarks=("words",))
        loop_over(journal, force, **(ROTATING | with_optimizer("cma_es") | changes)).run()
        return journal

    journal = run(1)
    pruned = [e for e in journal.recall() if isinstance(e.outcome, Scored) and e.outcome.pruned]
    assert pruned
    assert all(len(asked(each)) < 16 for each in pruned)
    assert with_again(run(5)) == with_again(journal)


def test_how_well_values_foretell_is_noted_with_every_generation() -> None:
    journal, loop = rotated()
    found = [progress.estimator for progress in journal.progress]
    assert all(each is not None for each in found)
    assert found[-1] == loop.fidelity.estimator
    assert found[-1] is not None
    assert found[-1].checks > 0
    assert found[-1].error is not None


def test_without_rotation_nothing_is_reevaluated() -> None:
    journal, loop = rotated(rotation=None)
    assert loop.fidelity.estimator is None
    assert not any(each.again for each in journal.recall())
    assert all(asked(each) == set(range(ITEMS)) for each in journal.recall())
