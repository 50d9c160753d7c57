"""Successive halving: which items, and which candidates go on."""

from __future__ import annotations

from itertools import pairwise

import pytest

from evaluators.sampling.successive_halving import HalvingSchedule


def test_rungs_are_nested_and_the_last_one_holds_everything() -> None:
    rungs = HalvingSchedule(first=25, eta=2.0).rungs([180, 60])
    assert [[len(items) for items in rung] for rung in rungs] == [[25, 25], [50, 50], [100, 60], [180, 60]]
    for lower, upper in pairwise(rungs):
        assert all(set(few) <= set(many) for few, many in zip(lower, upper, strict=True))
    assert rungs == HalvingSchedule().rungs([180, 60])
    assert rungs != HalvingSchedule(seed=1).rungs([180, 60])


def test_one_in_eta_goes_on_the_best_first() -> None:
    fitness = {4: 0.5, 1: 0.9, 2: 0.5, 3: 0.1, 0: 0.2}
    assert HalvingSchedule(eta=2.0).survivors(fitness) == (1, 2, 4)
    assert HalvingSchedule(eta=4.0).survivors(fitness) == (1, 2)
    assert HalvingSchedule().survivors({7: 0.0}) == (7,)


def test_eight_candidates_cost_half_of_a_full_evaluation() -> None:
    rule, alive, asked, before = HalvingSchedule(first=50), {n: float(n) for n in range(8)}, 0, 0
    for (items,) in rule.rungs([400]):
        asked += len(alive) * (len(items) - before)
        before = len(items)
        alive = {n: alive[n] for n in rule.survivors(alive)}
    assert list(alive) == [7]
    assert asked == 8 * 50 + 4 * 50 + 2 * 100 + 200
    assert asked < 8 * 400 / 3


def test_rungs_that_do_not_grow_are_refused() -> None:
    for first, eta in ((0, 2.0), (5, 1.0)):
        with pytest.raises(ValueError, match="eta > 1"):
            HalvingSchedule(first=first, eta=eta)
