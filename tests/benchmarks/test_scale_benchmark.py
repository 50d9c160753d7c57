from __future__ import annotations

import pytest

from benchmarks.scale import LIMITS, exponent_of, measure


def test_a_small_run_has_every_figure() -> None:
    found = measure(8, 80)
    assert set(LIMITS) <= set(found)
    assert found["memory_mb"] > 0


def test_the_exponent_says_how_costs_grow() -> None:
    moments = [0.0]
    for n in range(1, 2_000):
        moments.append(moments[-1] + 0.001 * n)
    assert exponent_of(moments, 10) == pytest.approx(1.0, abs=0.05)
    assert exponent_of([0.001 * n for n in range(2_000)], 10) == pytest.approx(0.0, abs=0.01)
    with pytest.raises(ValueError, match="8 candidates are too few for 4 workers"):
        exponent_of([0.0] * 8, 4)
