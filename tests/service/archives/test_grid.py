from __future__ import annotations

import math

import pytest

from service.archives.grid import Elite, GridArchive, MeasureAxis

AXES = (MeasureAxis("depth", 0.0, 10.0, 5), MeasureAxis("share", -1.0, 1.0, 2))


def test_every_cell_keeps_its_best_and_of_equals_the_first() -> None:
    archive = GridArchive(AXES)
    assert archive.add(1, 0.5, (1.0, -0.5))
    assert not archive.add(2, 0.5, (1.9, -0.1))
    assert archive.add(3, 0.6, (0.1, -0.9))
    assert archive.add(4, -2.0, (9.0, 0.5))
    assert archive.elites == {(0, 0): Elite(3, 0.6, (0.1, -0.9)), (4, 1): Elite(4, -2.0, (9.0, 0.5))}
    assert [elite.number for elite in archive] == [3, 4]


def test_what_lies_outside_the_range_falls_into_the_outermost_cells() -> None:
    archive = GridArchive(AXES)
    assert archive.cell_of((-5.0, 0.0)) == (0, 1)
    assert archive.cell_of((10.0, 1.0)) == (4, 1)
    assert archive.cell_of((1e300, -1e300)) == (4, 0)


def test_coverage_and_score_are_counted_over_the_cells() -> None:
    archive = GridArchive(AXES)
    assert (archive.cells, archive.coverage, archive.qd_score()) == (10, 0.0, 0.0)
    archive.add(0, 0.5, (0.0, 0.0))
    archive.add(1, 0.25, (5.0, 0.0))
    assert archive.coverage == 0.2
    assert archive.qd_score() == 0.75
    assert archive.qd_score(worst=-1.0) == 2.75


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="candidate 7 has quality nan"):
        GridArchive(AXES).add(7, math.nan, (0.0, 0.0))
    with pytest.raises(ValueError, match=r"measures .*inf"):
        GridArchive(AXES).add(7, 0.5, (0.0, math.inf))
