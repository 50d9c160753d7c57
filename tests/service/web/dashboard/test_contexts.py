"""Pages show what the query string asks for, as far as it makes sense."""

from __future__ import annotations

from urllib.parse import parse_qsl

from service.web.dashboard.choices import LAST_PAGE, Bounds, ReaderChoice

NAMES = ["maths", "japanese", "summaries"]


def test_the_first_two_objectives_and_the_search_split_are_shown_at_first() -> None:
    assert ReaderChoice.read({}, NAMES) == ReaderChoice(
        "search", tuple(NAMES), "maths", "japanese", "all", sort="number", down=True, page=1
    )


def test_a_single_objective_is_on_both_axes() -> None:
    choice = ReaderChoice.read({}, ["maths"])

    assert (choice.x, choice.y) == ("maths", "maths")


def test_what_the_query_asks_for_is_shown() -> None:
    wanted = {
        "split": "test",
        "x": "summaries",
        "y": "maths",
        "show": "front",
        "sort": "score1",
        "down": "0",
        "page": "7",
    }

    assert ReaderChoice.read(wanted, NAMES) == ReaderChoice(
        "test", tuple(NAMES), "summaries", "maths", "front", sort="score1", down=False, page=7
    )


def test_nonsense_in_the_query_gives_the_defaults() -> None:
    wanted = {
        "split": "'; drop",
        "x": "<script>",
        "show": "everything",
        "page": "-3",
        "sort": "score3",
        "other": "x",
    }

    assert ReaderChoice.read(wanted, NAMES) == ReaderChoice.read({}, NAMES)


def test_pages_that_no_table_has_are_the_last_or_the_first() -> None:
    assert ReaderChoice.read({"page": "9" * 7}, NAMES).page == LAST_PAGE
    assert ReaderChoice.read({"page": "9" * 5_000}, NAMES).page == 1


def test_the_head_of_a_column_sorts_by_it_and_then_turns_the_order_round() -> None:
    once = ReaderChoice.read({"page": "3"}, NAMES).sorted_by("score2")
    assert once.endswith("sort=score2&down=1&page=1")
    assert (
        ReaderChoice.read({"sort": "score2"}, NAMES).sorted_by("score2").endswith("sort=score2&down=0&page=1")
    )
    assert ReaderChoice.read({}, NAMES).sorted_by("label").endswith("sort=label&down=0&page=1")


def test_a_choice_written_as_a_query_is_read_again() -> None:
    choice = ReaderChoice("test", ("a & b", "c=d"), "a & b", "c=d", "failed", "number", down=True, page=2)
    pairs = dict(pair.split("=", 1) for pair in choice.query().split("&"))

    assert pairs["x"] == "a+%26+b"
    assert choice.query(page=3).endswith("page=3")


def test_columns_are_left_out_and_added_by_the_query_and_links_keep_them() -> None:
    choice = ReaderChoice.read({"cols": ",label,operator,nonsense"}, NAMES)

    assert choice.columns == ("label", "operator")
    assert "cols=label%2Coperator" in choice.query(page=2)
    assert "cols" not in ReaderChoice.read({}, NAMES).query()
    assert ReaderChoice.read({"cols": ""}, NAMES).columns == ()


def test_filters_are_numbers_of_objectives_and_generations_and_stay_in_the_address() -> None:
    wanted = {"min0": "60", "max0": "80.5", "max1": "nan", "min9": "1", "mingen": "2", "op": "crossover"}
    choice = ReaderChoice.read(wanted, NAMES)

    assert choice.scores == {0: Bounds(60.0, 80.5)}
    assert (choice.generation, choice.operator, choice.filters) == (Bounds(2.0, None), "crossover", 3)
    assert ReaderChoice.read(dict(parse_qsl(choice.query())), NAMES) == choice
    assert ReaderChoice.read(dict(parse_qsl(choice.without_filters())), NAMES).filters == 0
