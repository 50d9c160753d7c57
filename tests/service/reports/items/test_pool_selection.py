"""Models of a pool are taken by what they add to what the others get right."""

from __future__ import annotations

import numpy as np
import pytest

from service.reports.items.pool_selection import ItemValues, forward_selection


def answers(**right: range) -> ItemValues:
    """One task per name; 100 items, of which these are right."""
    return {task: np.isin(np.arange(100), places).astype(float) for task, places in right.items()}


def test_a_complement_is_taken_before_a_better_model_that_repeats_the_first() -> None:
    first, second, other = answers(t=range(60)), answers(t=range(55)), answers(t=range(60, 90))
    steps = forward_selection([second, other, first])
    assert [step.model for step in steps] == [2, 1, 0]
    assert [round(step.ceiling, 2) for step in steps] == [0.6, 0.9, 0.9]
    assert [step.is_clear for step in steps] == [True, True, False]
    assert steps[1].gained == {"t": 30}
    assert steps[1].stderr == pytest.approx((0.3 * 0.7 / 99) ** 0.5)


def test_tasks_count_alike_whatever_their_items() -> None:
    maths = {"maths": np.ones(10), "words": np.zeros(1000)}
    words = {"maths": np.zeros(10), "words": np.full(1000, 0.5)}
    first, second = forward_selection([maths, words])
    assert (first.model, first.alone, second.ceiling) == (0, 0.5, 0.75)


def test_of_equals_the_one_that_is_least_like_those_taken_comes_first() -> None:
    pool = [answers(t=range(50)), answers(t=range(60)), answers(t=range(50))]
    alike = {(0, 1): 0.9, (1, 2): 0.2, (0, 2): 0.5}
    steps = forward_selection(pool, lambda one, other: alike[min(one, other), max(one, other)])
    assert [step.model for step in steps] == [1, 2, 0]
    assert [step.likeness for step in steps] == [None, 0.2, 0.9]


def test_scores_that_are_better_when_lower_may_be_given_with_their_sign() -> None:
    steps = forward_selection([{"t": np.array([-3.0, -1.0])}, {"t": np.array([-1.0, -3.0])}])
    assert (steps[0].alone, steps[1].ceiling) == (-2.0, -1.0)


def test_models_that_answered_other_items_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="other items"):
        forward_selection([answers(t=range(3)), {"t": np.zeros(5)}])
