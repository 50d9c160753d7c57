"""The winner: all items count, and what was searched for must lead what was there by more than noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import uuid4

from evaluators import Score
from search_spaces import Recipe
from service.examination.choice import pooled, winner_of
from service.experiment.candidate import Candidate, CandidateKind
from workers.protocol.messages import Scored

PARENT, FOUND, OTHER = 0, 7, 8


def candidate(number: int) -> Candidate:
    source = {"parent": "/m/a", "parameters": {"weight": [{"value": number}]}}
    recipe = Recipe.model_validate({"method": "linear", "slices": [{"sources": [source]}]})
    kind = CandidateKind.PARENT if number == PARENT else CandidateKind.EVOLVED
    return Candidate(uuid4(), number, 0, None, recipe, kind=kind)


def answered(items: Sequence[int], *, value: float | None = None, asked: Sequence[int] = ()) -> Scored:
    """Returns the outcome of these answers, or of a metric that is not their mean, or of some items alone."""
    mean = sum(items) / len(items) if items else 0.0
    score = Score(
        "b", "acc,none", mean if value is None else value, 0.0, True, tuple(map(float, items)), tuple(asked)
    )
    return Scored(uuid4(), 1, (score,), 0.0, 0.0, "w0")


def winner(search: Mapping[int, Scored], selection: Mapping[int, Scored]) -> int | None:
    return winner_of([candidate(number) for number in sorted(selection)], search, selection, (1.0,))


def test_items_of_search_and_selection_count_alike() -> None:
    search = {FOUND: answered([1] * 80 + [0] * 20), OTHER: answered([1] * 60 + [0] * 40)}
    selection = {FOUND: answered([1] * 5 + [0] * 5), OTHER: answered([1] * 6 + [0] * 4)}
    assert winner(search, selection) == FOUND
    assert pooled(search, selection)[FOUND].scores[0].value == 85 / 110


def test_a_lucky_find_does_not_replace_a_parent_and_a_better_one_does() -> None:
    parent = [1] * 50 + [0] * 50
    lucky = [1] * 35 + [0] * 30 + [1] * 16 + [0] * 19  # one more right, 31 answered otherwise
    better = [1] * 50 + [1] * 10 + [0] * 40
    for find, expected in ((lucky, PARENT), (better, FOUND)):
        outcomes = {PARENT: answered(parent), FOUND: answered(find)}
        assert winner(outcomes, outcomes) == expected


def test_selection_alone_counts_where_search_items_differ_or_a_metric_is_no_mean() -> None:
    selection = {FOUND: answered([1, 1, 1, 0]), OTHER: answered([1, 0, 0, 0])}
    some = {FOUND: answered([0, 0], asked=[3, 4]), OTHER: answered([1, 1], asked=[5, 6])}
    assert winner(some, selection) == FOUND
    other_metric = {FOUND: answered([0] * 9, value=0.4), OTHER: answered([1] * 9, value=0.9)}
    assert winner(other_metric, selection) == FOUND
    assert winner({}, selection) == FOUND


def test_without_items_the_higher_value_wins() -> None:
    values = {PARENT: answered([], value=0.5), FOUND: answered([], value=0.51)}
    assert winner(values, values) == FOUND
    assert winner({}, {}) is None
