"""The end of a search is foreseen as a range."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from service.reports.analysis.time_left import time_left

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(*seconds: float) -> list[datetime]:
    return [START + timedelta(seconds=second) for second in seconds]


def test_a_steady_pace_leaves_no_doubt() -> None:
    assert time_left(at(*range(0, 20, 2)), 10) == pytest.approx((20, 20))


def test_the_range_widens_with_how_uneven_the_pace_is() -> None:
    found = time_left(at(0, 1, 2, 9, 10, 11, 18, 19, 20), 10)

    assert found is not None
    assert found[0] < 10 * 20 / 8 < found[1]


def test_nothing_is_foreseen_of_a_few_candidates_or_at_the_end() -> None:
    assert time_left(at(0, 1, 2), 10) is None
    assert time_left(at(*range(20)), 0) is None
