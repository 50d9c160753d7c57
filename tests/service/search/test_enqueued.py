"""Recipes that people put into a search's queue take places of it, and keep its laws."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from search_spaces import Recipe
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from service.experiment.candidate import CandidateKind
from service.experiment.enqueued import Enqueued, EnqueuedBy
from service.search.journal import ListJournal
from service.search.plan import Ending
from tests.service.scripted_workforce import ScriptedWorkforce
from tests.service.search.fidelity.test_halving_search import HALVING
from tests.service.search.fidelity.test_racing_search import RACING
from tests.service.search.fidelity.test_rotation import ROTATING
from tests.service.search.test_search_loop import OBJECTIVES, essence, loop_over
from tests.service.small_experiments import EVERY_OPTIMIZER, with_optimizer
from workers.protocol.messages import Scored

INEXPRESSIBLE = read_recipe(
    "merge_method: passthrough\nmodels: [{model: /models/left, parameters: {scale: 2}}]"
)


def recipe_of(number: int, **changes: Any) -> Recipe:
    journal = ListJournal()
    loop_over(journal, ScriptedWorkforce(benchmarks=OBJECTIVES), **changes).run()
    recipe = journal.entries[number].candidate.recipe
    assert isinstance(recipe, Recipe)
    return recipe


def queued(recipe: Recipe, by: EnqueuedBy = EnqueuedBy.PERSON) -> Enqueued:
    return Enqueued(uuid4(), recipe, "mine", by)


@pytest.mark.parametrize("algorithm", EVERY_OPTIMIZER)
def test_a_recipe_in_the_queue_takes_the_next_place_and_the_budget_stays(algorithm: str) -> None:
    journal = ListJournal()
    journal.queue = [queued(recipe_of(7, seed=1)), queued(INEXPRESSIBLE)]
    loop = loop_over(journal, ScriptedWorkforce(benchmarks=OBJECTIVES), **with_optimizer(algorithm))
    assert loop.run() is Ending.BUDGET_SPENT
    kinds = [each.candidate.kind for each in journal.recall()]
    assert kinds[4:] == [CandidateKind.ENQUEUED] * 2 + [CandidateKind.EVOLVED] * 6
    assert [each.candidate.id for each in journal.recall()[4:6]] == [one.id for one in journal.queue]
    assert [each.told for each in journal.recall()] == list(range(12))


@pytest.mark.parametrize("algorithm", EVERY_OPTIMIZER)
def test_a_search_with_a_queue_goes_on_after_a_crash_as_if_there_was_none(algorithm: str) -> None:
    def run(stop_after: int | None) -> ListJournal:
        journal, workforce = ListJournal(), Stopping(stop_after, benchmarks=OBJECTIVES)
        journal.queue = [queued(INEXPRESSIBLE)]
        while True:
            workforce.left = stop_after
            try:
                loop_over(journal, workforce, **with_optimizer(algorithm)).run()
            except ConnectionError:
                workforce.drop()
                continue
            return journal

    assert essence(run(stop_after=2)) == essence(run(stop_after=None))


class Stopping(ScriptedWorkforce):
    """Breaks off after some answers."""

    def __init__(self, left: int | None, **options: Any) -> None:
        super().__init__(**options)
        self.left = left

    def next_outcome(self, timeout: float) -> Any:
        outcome = super().next_outcome(timeout)
        if outcome is not None and self.left is not None:
            if self.left == 0:
                raise ConnectionError
            self.left -= 1
        return outcome


def test_a_candidate_is_asked_anew_though_its_scores_are_known() -> None:
    journal, workforce = ListJournal(), ScriptedWorkforce(benchmarks=OBJECTIVES)
    first = loop_over(journal, workforce).plan.baselines[0].recipe
    journal.queue = [queued(first), queued(first, EnqueuedBy.REEVALUATION)]
    loop_over(journal, workforce).run()
    asked = [assignment.number for assignment in workforce.submitted]
    assert 4 not in asked  # the scores of its twin will do
    assert 5 in asked
    outcomes = [journal.entries[number].outcome for number in (0, 4, 5)]
    scores = [outcome.scores for outcome in outcomes if isinstance(outcome, Scored)]
    assert scores[0] == scores[1] == scores[2]


ONE = {"objectives": [{"task": "words"}]}
FIDELITIES: dict[str, dict[str, Any]] = {
    "halving": HALVING | ONE,
    "rotation": ROTATING | with_optimizer("nsga2") | ONE,
    "racing": RACING | with_optimizer("cma_es") | ONE,
}


@pytest.mark.parametrize("fidelity", sorted(FIDELITIES))
def test_a_recipe_in_the_queue_is_scored_whole_where_others_are_asked_little(fidelity: str) -> None:
    def run(stop_after: int | None) -> ListJournal:
        changes = FIDELITIES[fidelity]
        journal, workforce = ListJournal(), Stopping(stop_after, benchmarks=["words"])
        journal.queue = [queued(INEXPRESSIBLE), queued(INEXPRESSIBLE, EnqueuedBy.REEVALUATION)]
        while True:
            workforce.left = stop_after
            try:
                loop_over(journal, workforce, **changes).run()
            except ConnectionError:
                workforce.drop()
                continue
            return journal

    whole = run(stop_after=None)
    own = [each for each in whole.recall() if each.candidate.kind is CandidateKind.ENQUEUED]
    assert len(own) == 2
    assert all(isinstance(each.outcome, Scored) and not each.outcome.pruned for each in own)
    assert essence(run(stop_after=9)) == essence(whole)
