"""Which items a candidate is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from evaluators import ItemIndices, ItemSet, Race, Score
from evaluators.errors import EvaluationError
from tests.workers.recipes import linear_recipe
from workers.protocol.messages import Assignment
from workers.runtime.item_evaluation import evaluate_items

RECIPE = linear_recipe([Path("left"), Path("right")], (0.5, 0.5))
ITEM_SETS = (ItemSet(60, "first", True), ItemSet(40, "second", True))


class Model:
    """Knows every `every`-th item; counts what it is asked."""

    def __init__(
        self, every: int = 2, *, higher: bool = True, item_sets: tuple[ItemSet, ...] = ITEM_SETS
    ) -> None:
        self.every, self.higher, self.item_sets = every, higher, item_sets
        self.questions: list[ItemIndices | None] = []

    def __call__(self, items: ItemIndices | None) -> tuple[Score, ...]:
        self.questions.append(items)
        asked = items or tuple(tuple(range(item_set.size)) for item_set in self.item_sets)
        scores = []
        for item_set, indices in zip(self.item_sets, asked, strict=True):
            if indices:
                values = tuple(float(index % self.every == 0) for index in indices)
                some = () if len(indices) == item_set.size else indices
                mean = sum(values) / len(values)
                like = Score(item_set.fingerprint, "acc", mean, 0.1, self.higher, values, some)
                margins = () if some else tuple(value - 0.5 for value in values)
                scores.append(replace(like, item_set=item_set.fingerprint, margins=margins))
        return tuple(scores)


def assign(**fields: object) -> Assignment:
    return Assignment(uuid4(), 0, RECIPE, **fields)  # type: ignore[arg-type]


def rival(model: Model, items: ItemIndices | None = None, **rules: float) -> Race:
    scores = model(items)
    return Race(tuple(score.item_fitness for score in scores), (1.0, 1.0), **rules)  # type: ignore[arg-type]


def test_without_rules_everything_is_asked_at_once() -> None:
    model = Model()
    answered = evaluate_items(assign(), ITEM_SETS, model)
    assert model.questions == [None]
    assert (answered.asked, answered.pruned) == (100, False)
    assert answered.scores == Model()(None)


def test_a_part_of_the_items_is_scored_as_a_part() -> None:
    items = ((0, 1, 2), (5, 7))
    answered = evaluate_items(assign(items=items), ITEM_SETS, Model())
    assert [score.item_indices for score in answered.scores] == list(items)
    assert [score.value for score in answered.scores] == [pytest.approx(2 / 3), 0.0]
    assert answered.asked == 5


def test_what_is_known_is_not_asked_again() -> None:
    first = evaluate_items(assign(items=((0, 1, 2), (5, 7))), ITEM_SETS, Model())
    model = Model()
    answered = evaluate_items(assign(known=first.scores), ITEM_SETS, model)
    (questions,) = model.questions
    assert questions == (tuple(range(3, 60)), tuple(n for n in range(40) if n not in (5, 7)))
    assert [score.per_item for score in answered.scores] == [score.per_item for score in Model()(None)]
    assert [score.item_indices for score in answered.scores] == [(), ()]
    assert answered.asked == 95
    nothing = Model()
    again = evaluate_items(assign(known=answered.scores, items=((4,), (6, 8))), ITEM_SETS, nothing)
    assert (nothing.questions, again.asked) == ([], 0)
    assert [score.value for score in again.scores] == [1.0, 1.0]


def test_margins_are_kept_of_an_item_set_that_was_asked_at_once_and_of_no_other() -> None:
    whole = Model()(None)
    assert evaluate_items(assign(), ITEM_SETS, Model()).scores == whole
    assert evaluate_items(assign(known=whole), ITEM_SETS, Model()).scores[0].margins == whole[0].margins
    half = evaluate_items(assign(known=whole[:1]), ITEM_SETS, Model()).scores
    assert [score.margins for score in half] == [score.margins for score in whole]
    parts = evaluate_items(assign(known=Model()(((0, 1), (5,)))), ITEM_SETS, Model()).scores
    asked = evaluate_items(assign(items=((0, 1, 2), (5, 7))), ITEM_SETS, Model()).scores
    some = evaluate_items(assign(items=((0, 1, 2), (5, 7)), known=whole), ITEM_SETS, Model()).scores
    raced = evaluate_items(assign(race=rival(Model(3), batch=10)), ITEM_SETS, Model()).scores
    known = evaluate_items(assign(race=rival(Model(3), batch=10), known=whole), ITEM_SETS, Model()).scores
    for scores in (parts, asked, some, raced, known):
        assert [score.margins for score in scores] == [(), ()]


def test_answers_to_other_questions_do_not_count() -> None:
    first = evaluate_items(assign(items=((0, 1, 2), (5, 7))), ITEM_SETS, Model())
    stale = tuple(replace(score, item_set="an older engine") for score in first.scores)
    model = Model()
    evaluate_items(assign(known=stale), ITEM_SETS, model)
    assert model.questions == [None]


@pytest.mark.parametrize("higher", [True, False])
def test_who_lags_behind_the_incumbent_is_asked_no_more(higher: bool) -> None:
    bad, good = (Model(5, higher=higher), Model(1, higher=higher))
    if not higher:
        bad, good = good, bad
    answered = evaluate_items(assign(race=rival(good)), ITEM_SETS, bad)
    assert answered.pruned
    assert answered.asked == 50
    assert [len(score.item_indices) for score in answered.scores] == [25, 25]
    full = good(None)
    for score, best in zip(answered.scores, full, strict=True):
        own = sum(score.per_item) / 25
        theirs = sum(best.answers[index] for index in score.item_indices) / 25
        assert score.value == pytest.approx(best.value + own - theirs)
        assert score.stderr > 0


def test_who_keeps_up_is_asked_everything_and_scored_as_if_there_were_no_race() -> None:
    plain, raced = Model(2), Model(2)
    answered = evaluate_items(assign(race=rival(Model(3), batch=10)), ITEM_SETS, raced)
    assert not answered.pruned
    assert answered.asked == 100
    assert len(raced.questions) == 6
    expected = evaluate_items(assign(items=tuple(tuple(range(s.size)) for s in ITEM_SETS)), ITEM_SETS, plain)
    assert [s.value for s in answered.scores] == [s.value for s in expected.scores]
    assert [s.per_item for s in answered.scores] == [s.per_item for s in expected.scores]


def test_a_race_goes_over_the_assigned_items_only() -> None:
    items = (tuple(range(0, 60, 2)), tuple(range(30)))
    loser = Model(7)
    answered = evaluate_items(assign(items=items, race=rival(Model(1), items)), ITEM_SETS, loser)
    assert answered.pruned
    assert all(
        set(score.item_indices) <= set(indices) for score, indices in zip(answered.scores, items, strict=True)
    )


def test_a_score_that_is_no_mean_is_asked_as_a_whole() -> None:
    item_sets = (ITEM_SETS[0], replace(ITEM_SETS[1], additive=False))
    model = Model(9)
    answered = evaluate_items(assign(race=rival(Model(1))), item_sets, model)
    assert (model.questions, answered.pruned) == ([None], False)


def test_a_race_against_other_items_is_refused() -> None:
    with pytest.raises(EvaluationError, match="race an incumbent that answered the same items"):
        evaluate_items(assign(race=Race(((1.0,), (0.0,)), (1.0, 1.0))), ITEM_SETS, Model())


def test_what_is_known_under_another_name_gets_the_present_one() -> None:
    known = evaluate_items(assign(), ITEM_SETS, Model()).scores
    renamed = tuple(replace(item_set, benchmark=f"my {item_set.fingerprint}") for item_set in ITEM_SETS)
    model = Model()
    answered = evaluate_items(assign(known=known), renamed, model)
    assert model.questions == []
    assert [score.benchmark for score in answered.scores] == ["my first", "my second"]
    assert [score.per_item for score in answered.scores] == [score.per_item for score in known]
