"""Which items a candidate is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from evaluators import Items, Race, Score, Sheet
from evaluators.errors import EvaluationError
from tests.workers.recipes import linear_recipe
from workers.protocol.messages import Assignment
from workers.runtime.item_evaluation import question

RECIPE = linear_recipe([Path("left"), Path("right")], (0.5, 0.5))
SHEETS = (Sheet(60, "first", True), Sheet(40, "second", True))


class Model:
    """Knows every `every`-th item; counts what it is asked."""

    def __init__(self, every: int = 2, *, higher: bool = True, sheets: tuple[Sheet, ...] = SHEETS) -> None:
        self.every, self.higher, self.sheets = every, higher, sheets
        self.heard: list[Items | None] = []

    def __call__(self, items: Items | None) -> tuple[Score, ...]:
        self.heard.append(items)
        asked = items or tuple(tuple(range(sheet.size)) for sheet in self.sheets)
        scores = []
        for sheet, places in zip(self.sheets, asked, strict=True):
            if places:
                values = tuple(float(place % self.every == 0) for place in places)
                some = () if len(places) == sheet.size else places
                mean = sum(values) / len(values)
                like = Score(sheet.fingerprint, "acc", mean, 0.1, self.higher, values, some)
                margins = () if some else tuple(value - 0.5 for value in values)
                scores.append(replace(like, sheet=sheet.fingerprint, margins=margins))
        return tuple(scores)


def assign(**fields: object) -> Assignment:
    return Assignment(uuid4(), 0, RECIPE, **fields)  # type: ignore[arg-type]


def rival(model: Model, items: Items | None = None, **rules: float) -> Race:
    scores = model(items)
    return Race(tuple(score.item_fitness for score in scores), (1.0, 1.0), **rules)  # type: ignore[arg-type]


def test_without_further_wishes_everything_is_asked_at_once() -> None:
    model = Model()
    answered = question(assign(), SHEETS, model)
    assert model.heard == [None]
    assert (answered.asked, answered.pruned) == (100, False)
    assert answered.scores == Model()(None)


def test_a_part_of_the_items_is_scored_as_a_part() -> None:
    items = ((0, 1, 2), (5, 7))
    answered = question(assign(items=items), SHEETS, Model())
    assert [score.items for score in answered.scores] == list(items)
    assert [score.value for score in answered.scores] == [pytest.approx(2 / 3), 0.0]
    assert answered.asked == 5


def test_what_is_known_is_not_asked_again() -> None:
    first = question(assign(items=((0, 1, 2), (5, 7))), SHEETS, Model())
    model = Model()
    answered = question(assign(known=first.scores), SHEETS, model)
    (heard,) = model.heard
    assert heard == (tuple(range(3, 60)), tuple(n for n in range(40) if n not in (5, 7)))
    assert [score.per_item for score in answered.scores] == [score.per_item for score in Model()(None)]
    assert [score.items for score in answered.scores] == [(), ()]
    assert answered.asked == 95
    nothing = Model()
    again = question(assign(known=answered.scores, items=((4,), (6, 8))), SHEETS, nothing)
    assert (nothing.heard, again.asked) == ([], 0)
    assert [score.value for score in again.scores] == [1.0, 1.0]


def test_margins_are_kept_of_a_sheet_that_was_asked_at_once_and_of_no_other() -> None:
    whole = Model()(None)
    assert question(assign(), SHEETS, Model()).scores == whole
    assert question(assign(known=whole), SHEETS, Model()).scores[0].margins == whole[0].margins
    half = question(assign(known=whole[:1]), SHEETS, Model()).scores
    assert [score.margins for score in half] == [score.margins for score in whole]
    parts = question(assign(known=Model()(((0, 1), (5,)))), SHEETS, Model()).scores
    asked = question(assign(items=((0, 1, 2), (5, 7))), SHEETS, Model()).scores
    some = question(assign(items=((0, 1, 2), (5, 7)), known=whole), SHEETS, Model()).scores
    raced = question(assign(race=rival(Model(3), batch=10)), SHEETS, Model()).scores
    known = question(assign(race=rival(Model(3), batch=10), known=whole), SHEETS, Model()).scores
    for scores in (parts, asked, some, raced, known):
        assert [score.margins for score in scores] == [(), ()]


def test_answers_to_other_questions_do_not_count() -> None:
    first = question(assign(items=((0, 1, 2), (5, 7))), SHEETS, Model())
    stale = tuple(replace(score, sheet="an older engine") for score in first.scores)
    model = Model()
    question(assign(known=stale), SHEETS, model)
    assert model.heard == [None]


@pytest.mark.parametrize("higher", [True, False])
def test_who_lags_behind_the_incumbent_is_asked_no_more(higher: bool) -> None:
    bad, good = (Model(5, higher=higher), Model(1, higher=higher))
    if not higher:
        bad, good = good, bad
    answered = question(assign(race=rival(good)), SHEETS, bad)
    assert answered.pruned
    assert answered.asked == 50
    assert [len(score.items) for score in answered.scores] == [25, 25]
    full = good(None)
    for score, best in zip(answered.scores, full, strict=True):
        own = sum(score.per_item) / 25
        theirs = sum(best.answers[place] for place in score.items) / 25
        assert score.value == pytest.approx(best.value + own - theirs)
        assert score.stderr > 0


def test_who_keeps_up_is_asked_everything_and_scored_as_if_there_were_no_race() -> None:
    plain, raced = Model(2), Model(2)
    answered = question(assign(race=rival(Model(3), batch=10)), SHEETS, raced)
    assert not answered.pruned
    assert answered.asked == 100
    assert len(raced.heard) == 6
    expected = question(assign(items=tuple(tuple(range(s.size)) for s in SHEETS)), SHEETS, plain)
    assert [s.value for s in answered.scores] == [s.value for s in expected.scores]
    assert [s.per_item for s in answered.scores] == [s.per_item for s in expected.scores]


def test_a_race_goes_over_the_assigned_items_only() -> None:
    items = (tuple(range(0, 60, 2)), tuple(range(30)))
    loser = Model(7)
    answered = question(assign(items=items, race=rival(Model(1), items)), SHEETS, loser)
    assert answered.pruned
    assert all(set(score.items) <= set(places) for score, places in zip(answered.scores, items, strict=True))


def test_a_score_that_is_no_mean_is_asked_as_a_whole() -> None:
    sheets = (SHEETS[0], replace(SHEETS[1], additive=False))
    model = Model(9)
    answered = question(assign(race=rival(Model(1))), sheets, model)
    assert (model.heard, answered.pruned) == ([None], False)


def test_a_race_against_other_items_is_refused() -> None:
    with pytest.raises(EvaluationError, match="race an incumbent that answered the same items"):
        question(assign(race=Race(((1.0,), (0.0,)), (1.0, 1.0))), SHEETS, Model())


def test_what_is_known_under_another_name_gets_the_present_one() -> None:
    known = question(assign(), SHEETS, Model()).scores
    renamed = tuple(replace(sheet, benchmark=f"my {sheet.fingerprint}") for sheet in SHEETS)
    model = Model()
    answered = question(assign(known=known), renamed, model)
    assert model.heard == []
    assert [score.benchmark for score in answered.scores] == ["my first", "my second"]
    assert [score.per_item for score in answered.scores] == [score.per_item for score in known]
