"""Errors that say what to do."""

from __future__ import annotations

import pickle

import pytest

from search_spaces.errors import RecipeError, RecipeFileError, SpaceError, UnknownNameError, did_you_mean

ERRORS = [
    RecipeError("base", "ties needs a base model", "name one"),
    UnknownNameError("method", "merge method", "tise", ["ties", "linear"]),
    RecipeFileError([RecipeError("a", "b", "c"), UnknownNameError("d", "key", "e", ["f"])]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_crosses_a_process_border_unchanged(error: SpaceError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert (again.field, again.detail, again.remedy) == (error.field, error.detail, error.remedy)


def test_the_nearest_name_is_offered_or_all_of_them() -> None:
    assert did_you_mean("desnity", ["weight", "density"]) == "did you mean 'density'?"
    assert did_you_mean("xyzzy", ["weight", "density"]) == "use one of: density, weight"


def test_an_unknown_name_keeps_what_is_allowed() -> None:
    assert ERRORS[1].allowed == ("linear", "ties")  # type: ignore[attr-defined]
