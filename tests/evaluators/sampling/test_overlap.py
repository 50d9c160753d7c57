"""How much of the test items stands in the search items."""

from __future__ import annotations

import pytest

from evaluators.sampling.overlap import shared_passages

STORY = "The quick brown fox jumps over the lazy dog near the river bank at dawn"


def test_a_shared_run_of_eight_words_counts_whatever_its_case_and_commas() -> None:
    search: list[dict[str, object]] = [
        {"q": STORY, "a": 1},
        {"q": "Quite another text of more than eight words that no other item shares"},
    ]
    same: dict[str, object] = {"q": f"Once: {STORY.upper().replace(' ', ', ')}!", "a": 0}
    other: dict[str, object] = {"q": "The quick brown fox jumps over a very different dog near the river"}
    assert shared_passages(search, [same, other]) == 0.5
    assert shared_passages(search, [{"q": {"parts": ["nothing", STORY]}}]) == 1.0


def test_short_items_count_as_a_whole() -> None:
    search = [{"q": "two plus two"}, {"q": "one plus one"}]
    assert shared_passages(search, [{"q": "Two plus two?"}, {"q": "two plus three"}]) == 0.5


def test_the_tasks_own_wording_tells_nothing() -> None:
    wording = "Answer the following question with a single letter and nothing else"
    search = [{"q": f"{wording} {n} a{n} b{n} c{n} d{n} e{n} f{n} g{n}"} for n in range(40)]
    test = [{"q": f"{wording} x{n} y{n} z{n} u{n} v{n} w{n} s{n} t{n}"} for n in range(10)]
    assert shared_passages(search, test) == pytest.approx(0.0)


def test_without_test_items_there_is_no_share() -> None:
    assert shared_passages([{"q": "a"}], []) is None
