"""A spec is read while it is typed: every mistake has a line, a column and a remedy."""

from __future__ import annotations

import pytest

from service.specification.reading import read_spec
from service.web.dashboard.creating.new_experiment import Example, examples
from service.web.dashboard.creating.spec_text import read_text

RIGHT = """name: two
parents: [org/left, org/right]
base: org/base
objectives:
  - task: gsm8k
budget: {candidates: 20}
"""


def test_a_right_text_has_no_mistakes_and_tells_where_everything_is() -> None:
    found = read_text(RIGHT)

    assert found.mistakes == []
    assert found.content is not None
    assert found.content["budget"] == {"candidates": 20}
    assert found.places["/objectives"] == (4, 1)
    assert found.places["/objectives/0/task"] == (5, 5)
    assert found.places["/budget/candidates"] == (6, 10)


def test_a_mistyped_name_is_found_at_its_line_and_column_with_what_was_meant() -> None:
    found = {m.pointer: m for m in read_text(RIGHT.replace("candidates", "candidtes")).mistakes}
    mistake = found["/budget/candidtes"]

    assert (mistake.line, mistake.column) == (6, 10)
    assert "did you mean 'candidates'" in mistake.hint


def test_what_is_missing_is_told_where_it_belongs() -> None:
    mistakes = {
        m.pointer: m for m in read_text(RIGHT.replace("  - task: gsm8k\n", "  - {weight: 2}\n")).mistakes
    }

    assert mistakes["/objectives/0"].line == 5


@pytest.mark.parametrize("text", ["name: [", "just words", "- a list", "a: 1\na: 2", ""])
def test_a_text_that_is_no_experiment_says_so(text: str) -> None:
    found = read_text(text)

    assert found.content is None
    assert found.mistakes


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_every_example_is_right_by_itself(example: Example) -> None:
    found = read_text(example.text)

    assert found.mistakes == []
    assert found.content is not None
    assert read_spec(found.content)[0] is not None
    assert example.title
