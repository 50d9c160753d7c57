"""Paired tests and chances, against numbers from the literature, or counted by hand."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from evaluators.sampling.statistics import binomial_p_value, chances_on_front, paired_test


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (6, 1), (10, 10), (59, 121), (2000, 2105)])
def test_the_p_value_is_the_exact_binomial_one(better: int, worse: int) -> None:
    count, fewer = better + worse, min(better, worse)
    tail = sum(comb(count, k) for k in range(fewer + 1)) / 2**count
    expected = min(1.0, 2.0 * tail)
    assert binomial_p_value(better, worse) == pytest.approx(expected, rel=1e-9)


def test_two_models_are_compared_item_by_item() -> None:
    first, second = [1.0, 1.0, 0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    found = paired_test(first, second)
    assert (found.better, found.worse, found.test) == (2, 1, "mcnemar")
    assert found.difference == pytest.approx(1 / 6)
    assert found.stderr == pytest.approx(float(np.std(np.subtract(first, second), ddof=1)) / 6**0.5)
    assert paired_test(second, first).difference == pytest.approx(-1 / 6)


def test_answers_that_are_no_yes_or_no_get_a_sign_test_and_equal_ones_count_for_neither() -> None:
    found = paired_test([-2.5, -1.0, -3.0, 0.25], [-2.75, -1.0, -3.5, 0.0])
    assert (found.better, found.worse, found.test) == (3, 0, "sign")
    assert found.p_value == pytest.approx(0.25)


def test_answers_to_different_items_are_not_compared() -> None:
    for first, second in (([1.0], [1.0, 0.0]), ([], [])):
        with pytest.raises(ValueError, match="same items"):
            paired_test(first, second)


def test_who_is_dominated_on_every_item_is_never_on_the_front_and_twins_always_share_it() -> None:
    rng = np.random.default_rng(0)
    good = [rng.random(50).tolist(), rng.random(80).tolist()]
    bad = [[value - 0.5 for value in objective] for objective in good]
    assert chances_on_front([good, bad, good]) == [1.0, 0.0, 1.0]
    assert chances_on_front([]) == []


def test_the_chance_falls_with_the_distance_from_the_front() -> None:
    rng = np.random.default_rng(1)
    luck = rng.random(200)
    answers = [[(luck < p).astype(float).tolist()] for p in (0.70, 0.69, 0.40)]
    best, near, far = chances_on_front(answers, seed=3)
    assert best > near > far
    assert 0.02 < near < 0.5
    assert far < 0.01
    assert best + near + far >= 1.0  # ties put several on the front
    assert chances_on_front(answers, seed=3) == [best, near, far]
