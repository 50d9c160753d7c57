"""What is said of a winner whose weights end where the search space does."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from search_spaces import Parent, Recipe, Slice, Source
from search_spaces.genome import Axis, Genome, Real
from service.examination.bounds import at_bounds, many_ended
from service.experiment.candidate import Candidate, CandidateKind

WEIGHTS = tuple(Real(f"weight {place}", 0.0, 2.0, 0.5, Axis("weight", 0, place)) for place in range(6))
DENSITY = Real("density", 0.1, 1.0, 0.7, Axis("density", 0, 0))
RECIPE = Recipe(method="linear", slices=(Slice(sources=(Source(parent=Parent(model="a")),)),))


def evolved(genome: Genome) -> Candidate:
    return Candidate(uuid4(), 7, 1, genome, RECIPE, kind=CandidateKind.EVOLVED)


def test_weights_at_their_upper_bound_are_told_with_wider_bounds_to_try() -> None:
    (said,) = at_bounds(evolved((2.0, 1.999, 2.0, 0.0, 2.0, 1.0, 1.0)), (*WEIGHTS, DENSITY))
    assert said.startswith("4 of the winner's 6 weights lie at their upper bound, 2:")
    assert "with weights in [0, 2.8]" in said


@pytest.mark.parametrize(
    "genome",
    [
        (2.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0),  # one of six
        (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0),  # leaving a parent out is no end
    ],
)
def test_few_bounds_natural_ones_and_lower_ones_are_not_told(genome: Genome) -> None:
    assert not list(at_bounds(evolved(genome), (*WEIGHTS, DENSITY)))


def test_a_baseline_that_won_has_no_bounds_to_widen() -> None:
    winner = replace(evolved((2.0,) * 6), kind=CandidateKind.BASELINE)
    assert not list(at_bounds(winner, WEIGHTS))


def test_wider_bounds_are_worth_a_try_where_many_weights_end() -> None:
    found = many_ended(evolved((2.0, 2.0, 0.0, 0.0, 0.0, 1.0, 1.0)), (*WEIGHTS, DENSITY))
    assert found is not None
    assert (found.ended, found.weights, found.to_try) == (2, 6, (0.0, 2.8))
    known = replace(evolved((2.0,) * 6), kind=CandidateKind.KNOWN)
    assert many_ended(known, WEIGHTS) is not None
