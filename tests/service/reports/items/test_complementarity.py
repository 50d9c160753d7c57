"""Who solves which items, and whether two models differ on the same items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from service.reports.items.complementarity import Complementarity, complementarity
from service.reports.items.item_tables import ItemTable
from service.reports.items.paired import paired

LEFT, RIGHT, MERGE = [1, 1, 0, 0, 1, 0], [1, 0, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0]


def table(*rows: Sequence[float], higher_is_better: bool = True) -> ItemTable:
    values = np.array(rows, dtype=float)
    return ItemTable(
        "sums",
        "acc,none",
        higher_is_better,
        tuple(range(len(rows))),
        np.arange(values.shape[1]),
        values,
        None,
    )


def found() -> Complementarity:
    result = complementarity(table(LEFT, RIGHT, MERGE))
    assert result is not None
    return result


def test_the_parents_together_are_the_ceiling_of_choosing_between_them() -> None:
    assert found().union == 4
    assert found().solved == (3, 2, 4)
    assert found().unsolved == 1


def test_what_a_merge_gains_and_loses_is_counted_against_all_parents() -> None:
    assert (found().gained, found().lost) == (1, 1)
    assert [item.item for item in found().gained_items] == [3]
    assert [item.item for item in found().lost_items] == [4]


def test_items_are_grouped_by_who_solves_them_and_the_unsolved_come_last() -> None:
    patterns = found().patterns
    assert sum(pattern.count for pattern in patterns) == 6
    assert patterns[-1].solvers == (False, False, False)


def test_graded_items_are_neither_solved_nor_not() -> None:
    assert complementarity(table([0.3, 0.5], [0.2, 0.9])) is None
    assert complementarity(table([0, 1], [1, 1], higher_is_better=False)) is None


def test_two_models_are_compared_item_by_item() -> None:
    result = paired(table(MERGE, LEFT))

    assert (result.better, result.worse) == (2, 1)
    assert result.difference == pytest.approx(1 / 6)
    assert result.p_value == 1.0
    assert not result.is_clear


def test_where_smaller_is_better_a_smaller_value_is_a_gain() -> None:
    result = paired(table([1.0] * 10, [2.0] * 10, higher_is_better=False))

    assert (result.better, result.worse, result.difference) == (10, 0, 1.0)
    assert result.is_clear


def test_models_that_never_differ_have_no_clear_difference() -> None:
    assert paired(table(LEFT, LEFT)).p_value == 1.0
