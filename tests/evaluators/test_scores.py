from __future__ import annotations

import math
import pickle

import pytest

from evaluators import EvaluationError, Score
from evaluators.errors import BadScoreError, SplitError
from evaluators.scores import mean_score, united_score


def test_fitness_is_larger_for_the_better_score_whatever_the_direction() -> None:
    accuracy = [Score("a", "acc,none", value, 0.1, higher_is_better=True) for value in (0.2, 0.8)]
    perplexity = [
        Score("p", "word_perplexity,none", value, 0.1, higher_is_better=False) for value in (9.0, 3.0)
    ]
    for worse, better in (accuracy, perplexity):
        assert better.fitness > worse.fitness


@pytest.mark.parametrize(("value", "stderr"), [(math.nan, 0.0), (math.inf, 0.0), (0.5, math.nan)])
def test_a_score_that_is_no_finite_number_is_refused_by_name(value: float, stderr: float) -> None:
    with pytest.raises(BadScoreError, match="sums scored"):
        Score("sums", "acc,none", value, stderr, higher_is_better=True).check()


def test_what_is_put_together_from_answers_has_no_margins() -> None:
    whole = Score("a", "acc,none", 0.5, 0.5, True, (1.0, 0.0), margins=(0.25, -0.5))
    assert mean_score(whole, whole.answers, size=2).margins == ()
    parts = [mean_score(whole, {index: value}, size=2) for index, value in whole.answers.items()]
    assert united_score(*parts).margins == ()
    assert united_score(parts[0], whole) == whole


def test_errors_cross_a_process_border_unchanged() -> None:
    error = SplitError("splits", "split test has no items", "give it a larger share")
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, SplitError)
    assert isinstance(copy, EvaluationError)
    assert (copy.field, copy.detail, copy.remedy, str(copy)) == (
        error.field,
        error.detail,
        error.remedy,
        str(error),
    )


@pytest.mark.parametrize("higher", [True, False])
def test_a_score_with_its_own_fitness_is_itself(higher: bool) -> None:
    score = Score("b", "m", 0.25, 0.1, higher, per_item=(0.5, 0.0), item_indices=(3, 7))
    assert score.with_fitness(score.fitness) == score
    assert score.fitness_by_index == {3: score.sign * 0.5, 7: 0.0}
    better = score.with_fitness(score.fitness + 1, stderr=0.0)
    assert (better.value > score.value) is higher
    assert better.stderr == 0.0
