"""Racing: which candidate is pruned, when, and what is then said of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluators.sampling.racing import Race, estimate, has_lost, race_result

ITEMS = 400


def answers(rng: np.random.Generator, skill: float, hardness: np.ndarray) -> np.ndarray:
    """Returns right (1) or wrong (0) per item, by a logistic of skill less hardness."""
    return (rng.random(len(hardness)) < 1 / (1 + np.exp(hardness - skill))).astype(float)


def race(incumbent: np.ndarray, own: np.ndarray, *, z: float = 2.3, seed: int = 0) -> tuple[bool, int]:
    """Returns whether the candidate is pruned, and after how many items."""
    rules = Race((tuple(incumbent),), (1.0,), z=z, seed=seed)
    seen: list[int] = []
    for (batch,) in rules.rounds():
        seen += batch
        if len(seen) < len(incumbent) and race_result(rules, [seen], [own[seen].tolist()]).lost(z):
            return True, len(seen)
    return False, len(seen)


def test_every_item_is_asked_once_in_an_order_that_the_seed_decides() -> None:
    rules = Race(((0.0,) * 60, (0.0,) * 30), (1.0, 1.0), batch=25)
    rounds = list(rules.rounds())
    assert [[len(indices) for indices in batch] for batch in rounds] == [[25, 25], [25, 5], [10, 0]]
    asked = [sorted(index for batch in rounds for index in batch[number]) for number in range(2)]
    assert asked == [list(range(60)), list(range(30))]
    assert rounds == list(rules.rounds())
    assert rounds != list(Race(rules.incumbent, rules.weights, seed=1).rounds())


def test_a_clearly_worse_candidate_is_pruned_early_and_an_equal_one_seldom() -> None:
    rng = np.random.default_rng(0)
    hardness = rng.normal(0.0, 1.5, ITEMS)
    pruned_equal, items_worse = 0, []
    for seed in range(200):
        incumbent = answers(rng, 1.0, hardness)
        pruned_equal += race(incumbent, answers(rng, 1.0, hardness), seed=seed)[0]
        lost, items = race(incumbent, answers(rng, -1.0, hardness), seed=seed)
        assert lost
        items_worse.append(items)
    assert pruned_equal / 200 < 0.09  # 1 % per look, 15 looks that depend on each other
    assert np.mean(items_worse) < 75


def test_benchmarks_count_by_their_weights() -> None:
    worse, better = np.zeros(50), np.ones(50)
    half = np.tile([0.0, 1.0], 25)
    for weights, lost in (((4.0, 1.0), True), ((1.0, 4.0), False)):
        rules = Race((tuple(better), tuple(half)), weights)
        seen = [list(range(50))] * 2
        found = race_result(rules, seen, [worse.tolist(), better.tolist()])
        expected = (weights[0] * -1.0 + weights[1] * 0.5) / 5.0
        assert found.difference == pytest.approx(expected)
        assert found.lost(2.3) is lost


def test_one_item_is_no_evidence() -> None:
    rules = Race(((1.0, 1.0),), (1.0,), batch=1)
    assert not race_result(rules, [[0]], [[0.0]]).lost(2.3)


def test_the_estimate_of_a_pruned_candidate_is_unbiased_and_knows_its_error() -> None:
    rng = np.random.default_rng(1)
    gaps, errors, own_means = [], [], []
    for _ in range(400):
        # Relatives: where one is right, so mostly is the other.  Half of all items are easy enough.
        hardness = rng.normal(0.0, 1.0, ITEMS)
        incumbent, own = (skill > hardness + rng.normal(0, 0.2, ITEMS) for skill in (0.3, 0.0))
        incumbent, own, truth = incumbent.astype(float), own.astype(float), 0.5
        seen = rng.permutation(ITEMS)[:50]
        guess = estimate(incumbent.tolist(), seen.tolist(), own[seen].tolist())
        gaps.append(guess.value - truth)
        errors.append(guess.stderr)
        own_means.append(own[seen].mean() - truth)
    assert abs(np.mean(gaps)) < 4 * np.std(gaps) / 20
    assert np.std(gaps) == pytest.approx(float(np.mean(errors)), rel=0.15)
    assert np.std(gaps) < 0.8 * np.std(own_means)  # what the control variate is for


def test_where_benchmarks_make_a_front_a_candidate_is_asked_on_that_may_be_better_in_one() -> None:
    better, half = (1.0,) * 60, (0.0, 1.0) * 30
    everywhere = Race((better, better), (9.0, 1.0), everywhere=True)
    seen = [list(range(50)), list(range(50))]
    half_so_far = list(half[:50])
    assert has_lost(everywhere, seen, [half_so_far, half_so_far])
    assert not has_lost(everywhere, seen, [half_so_far, list(better[:50])])
    assert has_lost(replace(everywhere, everywhere=False), seen, [half_so_far, list(better[:50])])


def test_a_benchmark_without_items_so_far_is_no_evidence() -> None:
    front = Race(((1.0,) * 60, (1.0,) * 60), (1.0, 1.0), everywhere=True)
    assert not has_lost(front, [list(range(50)), []], [[0.0, 1.0] * 25, []])
