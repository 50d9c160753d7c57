"""Variables and the unit cube."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.errors import SpaceDefinitionError
from search_spaces.genome import (
    Choice,
    Integer,
    Real,
    Variable,
    from_unit_cube,
    initial_genome,
    is_in_bounds,
    to_unit_cube,
)

VARIABLES: tuple[Variable, ...] = (
    Real("weight", -0.5, 1.5, 0.3),
    Integer("rank", 2, 5, 3),
    Choice("from", ("left", "right", "base"), "left"),
)
POSITIONS = st.lists(st.floats(-1.0, 2.0), min_size=3, max_size=3)


@given(positions=POSITIONS)
def test_every_point_even_outside_the_cube_is_a_genome_in_bounds(positions: list[float]) -> None:
    assert is_in_bounds(VARIABLES, from_unit_cube(VARIABLES, positions))


@given(positions=POSITIONS)
def test_a_genome_comes_back_from_its_place_in_the_cube(positions: list[float]) -> None:
    genome = from_unit_cube(VARIABLES, positions)
    again = from_unit_cube(VARIABLES, to_unit_cube(VARIABLES, genome))
    assert again[0] == pytest.approx(genome[0])
    assert again[1:] == genome[1:]


def test_whole_numbers_and_names_share_the_interval_evenly() -> None:
    steps = [i / 1200 for i in range(1200)]
    for variable, kinds in ((VARIABLES[1], 4), (VARIABLES[2], 3)):
        genes = [variable.from_unit(step) for step in steps]
        assert {genes.count(gene) for gene in genes} == {1200 // kinds}


def test_a_search_starts_inside_the_bounds() -> None:
    assert is_in_bounds(VARIABLES, initial_genome(VARIABLES))


@pytest.mark.parametrize("genome", [(2.0, 3, "left"), (0.0, 3.5, "left"), (0.0, 3, "up"), (0.0, 3)])
def test_genomes_out_of_bounds_are_recognized(genome: tuple[float | int | str, ...]) -> None:
    assert not is_in_bounds(VARIABLES, genome)


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: Real("w", 1.0, 1.0, 1.0), "hold nothing"),
        (lambda: Real("w", 0.0, 1.0, 2.0), "starts at 2.0"),
        (lambda: Integer("r", 3, 1, 2), "hold nothing"),
        (lambda: Choice("c", ("a", "a"), "a"), "at least two different options"),
        (lambda: Choice("c", ("a", "b"), "c"), "not a choice"),
    ],
)
def test_a_variable_without_values_is_refused(make: object, part: str) -> None:
    assert callable(make)
    with pytest.raises(SpaceDefinitionError, match=part):
        make()
