"""What rows share is read once, and every row can still be found in what is read."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from evaluators.inference.shared_prefixes.token_tree import Exchange, Section, Tokens, arrange, lone_rows

EXCHANGE = Exchange(attended=1000, launch=10)


def read(section: Section, beginning: Tokens = ()) -> dict[int, Tokens]:
    """Returns every row as the network reads it: what comes before, then the nodes of its path."""
    beginning += section.tokens
    found = {}
    for tree in section.trees:
        for row, path in zip(tree.rows, tree.paths, strict=True):
            found[row] = beginning + tuple(tree.tokens[node] for node in path)
            sees = tree.sees()
            assert [tree.depths[node] for node in path] == [len(beginning) + n for n in range(len(path))]
            for index, node in enumerate(path):
                assert sorted(np.flatnonzero(sees[node])) == sorted(path[: index + 1])
    for below in section.sections:
        assert below.before == len(beginning)
        found |= read(below, beginning)
    return found


def few_shot(header: int, questions: int, rng: Random) -> list[Tokens]:
    start = tuple(rng.choices(range(50), k=header))
    asked = [tuple(rng.choices(range(50), k=12)) for _ in range(questions)]
    return [start + question + (choice, 7, choice) for question in asked for choice in range(4)]


@pytest.mark.parametrize("seed", range(20))
def test_every_row_is_read_whole_and_in_order(seed: int) -> None:
    rng = Random(seed)
    rows = [tuple(rng.choices(range(rng.choice((2, 3, 9))), k=rng.randint(1, 14))) for _ in range(60)]
    rows = list(dict.fromkeys(rows + few_shot(30, 5, rng)))
    starts = [rng.randrange(len(row)) for row in rows]
    section = arrange(rows, starts, Exchange(attended=rng.choice((20, 1000)), launch=rng.choice((1, 10))), 40)
    assert read(section) == dict(enumerate(rows))
    assert section.nodes <= sum(map(len, rows))
    for one in section:
        for tree in one.trees:
            assert all(starts[row] >= one.depth for row in tree.rows)


def test_a_header_and_each_question_are_read_once() -> None:
    rows = few_shot(100, 20, Random(0))
    section = arrange(rows, [112] * len(rows), EXCHANGE, 1000)
    (header,) = section.sections
    assert (section.trees, len(header.tokens)) == ([], 100)
    assert 15 <= len(header.trees) <= 20  # questions that begin with the same word may share a tree
    assert 100 + 20 * (11 + 4 * 3) <= section.nodes <= 100 + 20 * (12 + 4 * 3)


def test_headers_of_two_tasks_are_read_apart() -> None:
    rows = few_shot(60, 10, Random(1)) + few_shot(80, 10, Random(2))
    section = arrange(rows, [len(row) - 3 for row in rows], EXCHANGE, 1000)
    assert sorted(len(below.tokens) for below in section.sections) == [60, 80]


def test_a_beginning_that_saves_less_than_a_pass_costs_is_read_again() -> None:
    rows = [(1, 2, 3, *([first] * 30)) for first in range(4, 8)]
    section = arrange(rows, [30] * 4, Exchange(attended=30, launch=100), 40)
    assert not section.sections
    assert len(section.trees) == 4


def test_lone_rows_share_nothing() -> None:
    rows = [(1, 2, 3), (1, 2, 4, 5)]
    section = lone_rows(rows)
    assert read(section) == dict(enumerate(rows))
    assert all(tree.is_path for tree in section.trees)


def test_thousands_of_rows_that_each_begin_another_need_no_deep_stack() -> None:
    rows = [tuple([1] * length) for length in range(1, 3000)]
    section = arrange(rows, [len(row) - 1 for row in rows], EXCHANGE, 10)
    assert sum(len(tree.rows) for one in section for tree in one.trees) == len(rows)
