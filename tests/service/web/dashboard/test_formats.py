"""Numbers are written with as many digits as they deserve."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from service.web.dashboard import formats


@pytest.mark.parametrize(
    ("metric", "share"),
    [
        ("acc,none", True),
        ("acc_norm", True),
        ("exact_match,flexible-extract", True),
        ("word_perplexity,none", False),
    ],
)
def test_shares_are_known_by_their_metric(metric: str, share: bool) -> None:
    assert formats.is_share(metric) is share


def test_scores_have_one_decimal_in_percent() -> None:
    assert formats.score(0.71349) == "71.3\u202f%"
    assert formats.score(12.3456, share=False) == "12.35"
    assert formats.score(None) == formats.score(float("nan")) == "–"


def test_errors_stand_beside_scores() -> None:
    assert formats.plus_minus(0.713, 0.0214, True) == "71.3\u00a0±\u00a02.1\u202f%"
    assert formats.plus_minus(0.123, 0.027, True, "points") == "12.3\u00a0±\u00a02.7\u202fpoints"
    assert formats.plus_minus(12.3456, 0.123, False) == "12.35\u00a0±\u00a00.12"


def test_differences_have_signs() -> None:
    assert formats.difference(0.031) == "+3.1\u202fpoints"
    assert formats.difference(-0.031) == "−3.1\u202fpoints"
    assert formats.difference(1.5, share=False) == "+1.5"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.0008, "0.8 ms"), (0.354, "0.35 s"), (42, "42 s"), (252, "4 min 12 s"), (7_200, "2 h"),
     (93_600, "1 d 2 h")],
)  # fmt: skip
def test_durations_have_their_two_largest_units(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds).replace("\u202f", " ") == text


@pytest.mark.parametrize(("seconds", "text"), [(5, "just now"), (190, "3 min ago"), (90_000, "1 d ago")])
def test_ages_have_one_unit(seconds: int, text: str) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert formats.age(now - timedelta(seconds=seconds), now).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("per_second", "text"), [(None, "–"), (2.5, "2.5 / s"), (0.25, "15.0 / min"), (0.001, "3.6 / h")]
)
def test_rates_are_readable_numbers(per_second: float | None, text: str) -> None:
    assert formats.rate(per_second).replace("\u202f", " ") == text
