"""Pages show what the query string asks for, as far as it makes sense."""

from __future__ import annotations

from service.web.dashboard.contexts import FEWEST_ROWS, MOST_ROWS, Choice

NAMES = ["maths", "japanese", "summaries"]


def test_the_first_two_objectives_and_the_search_split_are_shown_at_first() -> None:
    assert Choice.read({}, NAMES) == Choice("search", "maths", "japanese", "all", FEWEST_ROWS)


def test_a_single_objective_is_on_both_axes() -> None:
    choice = Choice.read({}, ["maths"])

    assert (choice.x, choice.y) == ("maths", "maths")


def test_what_the_query_asks_for_is_shown() -> None:
    wanted = {"split": "test", "x": "summaries", "y": "maths", "show": "front", "rows": "200"}

    assert Choice.read(wanted, NAMES) == Choice("test", "summaries", "maths", "front", 200)


def test_nonsense_in_the_query_gives_the_defaults() -> None:
    wanted = {"split": "'; drop", "x": "<script>", "show": "everything", "rows": "-3", "other": "x"}

    assert Choice.read(wanted, NAMES) == Choice.read({}, NAMES)


def test_nobody_gets_more_rows_than_the_page_can_bear() -> None:
    assert Choice.read({"rows": "9" * 30}, NAMES).rows == MOST_ROWS


def test_a_choice_written_as_a_query_is_read_again() -> None:
    choice = Choice("test", "a & b", "c=d", "failed", 130)
    pairs = dict(pair.split("=", 1) for pair in choice.query().split("&"))

    assert pairs["x"] == "a+%26+b"
    assert choice.query(rows=230).endswith("rows=230")
