"""The table of merge methods keeps its own rules."""

from __future__ import annotations

import pytest

from search_spaces.catalogue.methods import METHODS, Method, method_named
from search_spaces.errors import UnknownNameError


@pytest.fixture(params=sorted(METHODS))
def method(request: pytest.FixtureRequest) -> Method:
    return METHODS[request.param]


def test_a_method_stands_under_its_own_name_with_a_title_and_a_source(method: Method) -> None:
    assert METHODS[method.name] is method
    assert method.title
    assert method.paper


def test_defaults_and_ranges_fit_each_other(method: Method) -> None:
    names = [parameter.name for parameter in method.parameters]
    assert len(set(names)) == len(names)
    for parameter in method.parameters:
        assert parameter.low < parameter.high
        assert parameter.meaning
        if parameter.kind == "switch":
            assert parameter.default in (0.0, 1.0)
            assert not parameter.searched


def test_numbers_of_parents_make_sense(method: Method) -> None:
    assert method.fewest_parents >= 1
    assert method.most_parents is None or method.most_parents >= method.fewest_parents
    assert method.needs_base or not method.base_is_a_parent


def test_an_unknown_method_or_parameter_is_answered_with_what_there_is(method: Method) -> None:
    with pytest.raises(UnknownNameError, match=r"use one of: .*linear"):
        method_named("xyzzy")
    with pytest.raises(UnknownNameError) as caught:
        method.parameter("xyzzy")
    assert set(caught.value.allowed) == {parameter.name for parameter in method.parameters}
