"""Parts of the items: each asked once a turn, each like the whole, and what they say of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from evaluators.sampling.regression_estimate import predicted_mean, regression_estimate
from evaluators.sampling.rotation import part_of, row_of, turn_of

SIZE = 400


def answers(seed: int, ease: np.ndarray) -> list[float]:
    """Items answered rightly by chance, the easy ones more often."""
    right: list[float] = (np.random.default_rng(seed).random(SIZE) < ease).astype(float).tolist()
    return right


@pytest.fixture
def ease() -> np.ndarray:
    return np.random.default_rng(0).beta(0.5, 0.5, SIZE)


def parts(yardsticks: list[list[float]], known_ease: list[float], count: int = 40) -> list[tuple[int, ...]]:
    row = row_of(SIZE, yardsticks, known_ease, seed=(1, 0, 0))
    return [part_of(row, turn_of(generation, SIZE, count)) for generation in range(SIZE // count)]


def test_a_turn_asks_every_item_once(ease: np.ndarray) -> None:
    found = parts([answers(1, ease)], ease.tolist())
    assert sorted(index for part in found for index in part) == list(range(SIZE))
    assert {len(part) for part in found} == {40}
    assert all(list(part) == sorted(part) for part in found)


@pytest.mark.parametrize(("size", "count", "expected"), [(30, 50, 1), (100, 50, 2), (100, 40, 2), (7, 5, 1)])
def test_small_benchmarks_have_few_parts(size: int, count: int, expected: int) -> None:
    assert turn_of(0, size, count).parts == expected


def test_turns_follow_each_other() -> None:
    turns = [turn_of(generation, 100, 25) for generation in range(9)]
    assert [turn.number for turn in turns] == [0] * 4 + [1] * 4 + [2]
    assert [turn.index for turn in turns] == [0, 1, 2, 3, 0, 1, 2, 3, 0]


def test_parts_are_more_like_the_whole_than_parts_drawn_at_random(ease: np.ndarray) -> None:
    yardsticks = [answers(seed, ease) for seed in (1, 2, 3)]
    model = np.array(answers(9, ease))
    sorted_parts, random_parts = parts(yardsticks, ease.tolist()), parts([], [0.0] * SIZE)
    spread = [np.std([model[list(part)].mean() for part in found]) for found in (sorted_parts, random_parts)]
    assert spread[0] < 0.7 * spread[1]


def test_an_estimate_corrects_for_items_that_were_easy_for_the_parents(ease: np.ndarray) -> None:
    parents = [answers(seed, ease) for seed in (1, 2, 3)]
    child = answers(4, ease)
    rng = np.random.default_rng(6)
    easy = rng.choice(SIZE, 60, replace=False, p=(0.3 + ease) / (0.3 + ease).sum()).tolist()
    guess = regression_estimate({index: child[index] for index in easy}, parents)
    plain, truth = np.mean([child[index] for index in easy]), np.mean(child)
    assert abs(guess.value - truth) < abs(plain - truth)


def test_from_all_items_the_estimate_is_the_mean(ease: np.ndarray) -> None:
    child = answers(4, ease)
    guess = regression_estimate(dict(enumerate(child)), [answers(1, ease), answers(2, ease)])
    assert guess.value == pytest.approx(np.mean(child))
    assert guess.stderr == pytest.approx(np.std(child, ddof=1) / SIZE**0.5)


def test_standard_errors_are_honest(ease: np.ndarray) -> None:
    parents = [answers(seed, ease) for seed in (1, 2, 3)]
    rng, errors = np.random.default_rng(5), []
    for seed in range(200):
        child = answers(100 + seed, ease)
        indices = rng.permutation(SIZE)[:50].tolist()
        guess = regression_estimate({index: child[index] for index in indices}, parents)
        errors.append((guess.value - ease.mean()) / guess.stderr)
    assert 0.7 < np.std(errors) < 1.2


@pytest.mark.parametrize("parents", [[], [[1.0] * SIZE], [[0.0] * SIZE, [1.0] * SIZE]])
def test_parents_that_say_nothing_leave_the_mean(parents: list[list[float]]) -> None:
    answered = {3: 1.0, 5: 0.0, 9: 1.0, 11: 1.0}
    assert regression_estimate(answered, parents).value == pytest.approx(0.75)
    assert predicted_mean(answered, parents, [1, 2]) == pytest.approx(0.75)


def test_one_answer_is_enough_for_an_estimate() -> None:
    assert regression_estimate({0: 1.0}, [[1.0, 0.0]]).value == 1.0
