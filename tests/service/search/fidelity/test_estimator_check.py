"""Whether estimates are used is decided by what came out later."""

from __future__ import annotations

import numpy as np

from service.search.fidelity.estimator_check import ENOUGH, EstimatorCheck


def check(estimator_noise: float, plain_noise: float, count: int = 60) -> EstimatorCheck:
    rng, found = np.random.default_rng(0), EstimatorCheck()
    for _ in range(count):
        truth = float(rng.random())
        found.add(
            estimated=truth + float(rng.normal(scale=estimator_noise)),
            plain=truth + float(rng.normal(scale=plain_noise)),
            found=truth,
        )
    return found


def test_a_good_estimator_is_used() -> None:
    finding = check(0.01, 0.1).finding()
    assert finding.used
    assert finding.error is not None
    assert finding.plain_error is not None
    assert finding.error < finding.plain_error
    assert finding.rank_correlation is not None
    assert finding.rank_correlation > 0.9


def test_a_bad_one_is_switched_off() -> None:
    assert not check(0.3, 0.01).trusted


def test_one_whose_ranks_are_worse_is_switched_off() -> None:
    found = EstimatorCheck()
    for place in range(30):
        truth = place / 30
        found.add(estimated=0.5 + 0.001 * (-1) ** place, plain=truth + 0.6, found=truth)
    assert found.error is not None
    assert found.plain_error is not None
    assert found.error < found.plain_error
    assert not found.trusted


def test_it_is_used_again_once_it_is_better() -> None:
    found = check(0.3, 0.01, count=ENOUGH)
    assert not found.trusted
    for place in range(200):
        truth = (place % 17) / 17
        found.add(estimated=truth, plain=truth + 0.1, found=truth)
    assert found.trusted


def test_few_comparisons_decide_nothing() -> None:
    found = check(0.3, 0.01, count=ENOUGH - 1)
    assert found.trusted
    assert EstimatorCheck().finding().error is None
