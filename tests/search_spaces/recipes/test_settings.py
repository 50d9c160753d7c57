"""Values over depth and tensor names."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from search_spaces.recipes.settings import (
    Parameters,
    Setting,
    canonical_number,
    constant,
    first_value,
    value_for,
)


@pytest.mark.parametrize(("depth", "value"), [(0.0, 0.0), (0.25, 0.25), (0.5, 0.5), (0.75, 0.4), (1.0, 0.3)])
def test_a_gradient_is_interpolated_between_its_numbers(depth: float, value: float) -> None:
    assert Setting(value=(0.0, 0.5, 0.3)).at(depth) == pytest.approx(value)


def test_a_gradient_of_one_number_is_that_number() -> None:
    assert Setting(value=(0.7,)).at(0.5) == 0.7


def test_the_first_setting_that_applies_counts() -> None:
    parameter = (Setting(value=1.0, filter="mlp"), Setting(value=2.0, filter="*"), Setting(value=3.0))
    assert value_for(parameter, "layers.0.mlp.up", 0.0) == 1.0
    assert value_for(parameter, "norm", 0.0) == 2.0
    assert value_for(parameter[:1], "norm", 0.0) is None


def test_a_level_that_says_nothing_about_a_tensor_leaves_it_to_the_next() -> None:
    levels: tuple[Parameters, ...] = (
        {"weight": (Setting(value=1.0, filter="mlp"),)},
        {},
        {"weight": constant(5.0)},
    )
    assert first_value(levels, "weight", "x.mlp", 0.0) == 1.0
    assert first_value(levels, "weight", "x.attn", 0.0) == 5.0
    assert first_value(levels, "density", "x", 0.0) is None


def test_numbers_are_kept_to_eight_digits() -> None:
    assert canonical_number(0.1 + 0.2) == 0.3
    assert str(canonical_number(-0.0)) == "0.0"
    assert canonical_number(1.23456789e-12) == 1.2345679e-12


@pytest.mark.parametrize("value", [float("nan"), float("inf"), (), (1.0, float("nan")), "x"])
def test_what_is_no_finite_number_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Setting.model_validate({"value": value})
