"""YAML from strangers."""

from __future__ import annotations

import time

import pytest

from search_spaces.errors import RecipeFileError
from search_spaces.recipes.strict_yaml import LARGEST_TEXT, load_yaml


def refusal(text: str) -> str:
    with pytest.raises(RecipeFileError) as caught:
        load_yaml(text)
    return str(caught.value)


def test_plain_data_is_read() -> None:
    assert load_yaml("a: [1, 2.5, true, null, x]\nb: {c: 1e-3, d: -2E4, e: 1.5e3}") == {
        "a": [1, 2.5, True, None, "x"],
        "b": {"c": 0.001, "d": -20000.0, "e": 1500.0},
    }


def test_what_only_yaml_1_1_takes_for_a_number_is_a_word() -> None:
    text = "[012, -07, 1:30, 190:20:30, 1_000, 1_0.5, 0b11, 0o14]"
    assert load_yaml(text) == text.strip("[]").split(", ")
    assert load_yaml("[0, -1, +12, 0x1F, 0.5, -.5, 5., 1.5e3, 1e-3]") == [
        *(0, -1, 12, 31, 0.5, -0.5, 5.0, 1500.0, 0.001)
    ]
    assert load_yaml("[.inf, -.Inf]") == [float("inf"), -float("inf")]


def test_aliases_are_refused_before_they_grow() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
    )
    begin = time.monotonic()
    assert "alias" in refusal(bomb)
    assert time.monotonic() - begin < 1.0
    assert "line 2: *x is an alias" in refusal("a: 1\nb: *x\n")


def test_every_repeated_key_is_told_with_its_lines() -> None:
    text = refusal("a: 1\nb:\n  - {c: 1, c: 2}\na: 3\n")
    assert "a: stands there twice, in lines 1 and 4" in text
    assert "b.0.c: stands there twice, in lines 3 and 3" in text


def test_long_and_deep_texts_are_refused() -> None:
    assert f"at most {LARGEST_TEXT}" in refusal("a: " + "x" * LARGEST_TEXT)
    assert "nested more than" in refusal("[" * 10_000)
    assert "nested more than" in refusal("a: " + "{b: " * 50 + "1" + "}" * 50)


@pytest.mark.parametrize(
    "text",
    [
        "a: [1",
        "a: b: c",
        "a: !!python/object/apply:os.system [ls]",
        "a: 1\n---\nb: 2",
        "? [a]\n: 1",
        "a: \x00",
        "a: 2020-99-99",
        "\t a: 1",
        "a: " + "9" * 5000,
        "%TAG ! x",
        "a: 0x",
        "!!binary é",
    ],
)
def test_what_is_no_plain_yaml_is_refused_or_read_as_text(text: str) -> None:
    try:
        load_yaml(text)
    except RecipeFileError as error:
        assert error.problems
