from __future__ import annotations

import math
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.archives.pareto import ParetoArchive
from service.experiment.spec import MOST_OBJECTIVES

Fitness = tuple[float, ...]


def archive_of(*fitness: Fitness) -> ParetoArchive:
    archive = ParetoArchive()
    for number, values in enumerate(fitness):
        archive.add(number, values, sum(values))
    return archive


def test_an_empty_archive_has_no_front_and_no_volume() -> None:
    archive = ParetoArchive()
    archive.fix_reference()
    assert (archive.front, archive.best, archive.reference, archive.hypervolume) == ((), None, None, 0.0)


def test_the_front_holds_what_nothing_dominates() -> None:
    archive = archive_of((1.0, 1.0), (2.0, 0.0), (0.5, 0.5), (0.0, 2.0), (1.0, 0.5))
    assert archive.front == (0, 1, 3)


def test_a_better_candidate_pushes_out_what_it_dominates() -> None:
    archive = archive_of((1.0, 1.0), (2.0, 0.0), (0.0, 2.0))
    archive.add(7, (2.0, 1.0), 3.0)
    assert archive.front == (2, 7)


def test_of_equal_points_the_first_one_stands_for_all() -> None:
    assert archive_of((1.0, 1.0), (1.0, 1.0), (0.0, 2.0), (0.0, 2.0)).front == (0, 2)


def test_with_one_objective_the_front_is_the_best_candidate() -> None:
    archive = archive_of((0.2,), (0.7,), (0.7,), (0.1,))
    archive.fix_reference()
    assert archive.front == (1,)
    assert archive.best == (1, 0.7)
    assert archive.hypervolume == pytest.approx(0.6)


def test_with_three_objectives_any_one_keeps_a_candidate_on_the_front() -> None:
    assert archive_of((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 0.5)).front == (0, 1, 2)


def test_the_best_candidate_is_the_first_with_the_highest_weighted_mean() -> None:
    archive = ParetoArchive()
    for number, scalar in ((4, 0.3), (2, 0.9), (9, 0.9), (1, 0.5)):
        archive.add(number, (scalar,), scalar)
    assert archive.best == (2, 0.9)


def test_the_hypervolume_is_the_area_of_a_staircase() -> None:
    archive = archive_of((0.0, 1.0), (1.0, 0.0))
    archive.fix_reference()
    assert archive.reference == (0.0, 0.0)
    assert archive.hypervolume == 0.0
    for number, fitness in enumerate([(1.0, 3.0), (2.0, 2.0), (3.0, 0.5), (1.0, 1.0)], start=2):
        archive.add(number, fitness, 0.0)
    assert archive.hypervolume == pytest.approx(1 * 3 + 1 * 2 + 1 * 0.5)


def test_the_hypervolume_of_three_objectives_is_a_volume() -> None:
    archive = archive_of((0.0, 0.0, 0.0))
    archive.fix_reference()
    archive.add(1, (2.0, 1.0, 1.0), 0.0)
    archive.add(2, (1.0, 2.0, 1.0), 0.0)
    assert archive.hypervolume == pytest.approx(2 + 2 - 1)


def test_the_reference_stays_where_it_was_fixed() -> None:
    archive = archive_of((0.5, 0.5))
    archive.fix_reference()
    archive.add(1, (0.0, 1.0), 1.0)
    archive.fix_reference()
    assert archive.reference == (0.5, 0.5)
    assert archive.hypervolume == 0.0  # better in one objective, worse than the reference in the other
    assert archive.front == (0, 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_fitness_that_is_no_number_is_refused(bad: float) -> None:
    archive = archive_of((0.5, 0.5))
    with pytest.raises(ValueError, match="candidate 3 has fitness"):
        archive.add(3, (1.0, bad), 0.0)
    assert archive.front == (0,)


def test_the_order_of_arrival_does_not_change_the_front_or_its_volume() -> None:
    points = [(1.0, 3.0), (2.0, 2.0), (2.0, 2.0), (3.0, 1.0), (1.0, 1.0)]
    for order in permutations(points):
        archive = archive_of(*order)
        archive.fix_reference()
        assert {order[n] for n in archive.front} == {(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)}
        assert archive.hypervolume == pytest.approx(1.0)


GRID = st.integers(0, 4).map(float)


@given(
    st.integers(1, 4).flatmap(
        lambda objectives: st.lists(st.tuples(*[GRID] * objectives), min_size=1, max_size=25)
    )
)
def test_the_front_is_what_comparing_everything_with_everything_finds(fitness: list[Fitness]) -> None:
    archive = archive_of(*fitness)

    def beaten(mine: Fitness) -> bool:
        return any(
            other != mine and all(o >= m for o, m in zip(other, mine, strict=True)) for other in fitness
        )

    assert {fitness[n] for n in archive.front} == {values for values in fitness if not beaten(values)}
    assert all(fitness.index(fitness[n]) == n for n in archive.front)  # the first of equals


@given(st.lists(st.tuples(GRID, GRID), min_size=2, max_size=20))
def test_the_hypervolume_counts_the_cells_that_the_front_covers(fitness: list[Fitness]) -> None:
    archive = archive_of((0.0, 0.0), *fitness)
    archive.fix_reference()
    covered = {(x, y) for x in range(4) for y in range(4) if any(a > x and b > y for a, b in fitness)}
    assert archive.hypervolume == pytest.approx(len(covered))


def test_the_hypervolume_of_many_objectives_is_estimated_close_to_the_truth_and_always_the_same() -> None:
    # A box has a known volume in any number of dimensions; a dominated point adds nothing to it.
    volumes = []
    for _ in range(2):
        archive = ParetoArchive()
        archive.add(0, (0.0,) * 9, 0.0)
        archive.fix_reference()
        archive.add(1, (0.9,) * 9, 0.9)
        archive.add(2, (0.5,) * 9, 0.5)
        volumes.append(archive.hypervolume)
    assert volumes[0] == pytest.approx(0.9**9, rel=0.01)
    assert volumes[0] == volumes[1]


def test_the_most_objectives_that_a_spec_may_have_are_no_trouble() -> None:
    archive = ParetoArchive()
    archive.add(0, (0.0,) * MOST_OBJECTIVES, 0.0)
    archive.fix_reference()
    archive.add(1, (1.0,) * MOST_OBJECTIVES, 1.0)
    assert archive.hypervolume == pytest.approx(1.0, rel=0.05)
