"""Measures, constraints, and what the optimizer is told of failed candidates."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from evaluators import Score
from search_spaces import Parent, Recipe
from service.experiment.candidate import Candidate
from service.experiment.criteria import Constraint, Measure
from service.search.criteria import Criteria, Profile, violation_of
from service.search.fitness import PENALTY, FitnessAssigner
from service.search.recipe_shape import ParentShape
from tests.service.kinds import kind_of
from workers.protocol.failure import Failure
from workers.protocol.messages import Failed, Scored

LEFT, RIGHT = Parent(model="/m/left"), Parent(model="/m/right")
SHAPE = ParentShape(layers=4, parameters=100, layer_parameters=20)


def mixed(left: float, right: float) -> Recipe:
    sources = [
        {"parent": str(parent), "parameters": {"weight": [{"value": weight}]}}
        for parent, weight in ((LEFT, left), (RIGHT, right))
    ]
    return Recipe.model_validate({"method": "linear", "slices": [{"sources": sources}]})


def stacked(*spans: tuple[Parent, int, int]) -> Recipe:
    slices = [{"sources": [{"parent": str(p), "layers": [start, end]}]} for p, start, end in spans]
    return Recipe.model_validate({"method": "passthrough", "slices": slices})


def alone(parent: Parent) -> Recipe:
    slices = [{"sources": [{"parent": str(parent)}]}]
    return Recipe.model_validate({"method": "passthrough", "slices": slices})


def score(value: float, *, stderr: float = 0.02, higher: bool = True) -> Score:
    return Score("words", "acc,none", value, stderr, higher, (value,))


def scored(candidate: Candidate, value: float, **options: Any) -> Scored:
    return Scored(candidate.id, 1, (score(value, **options),), 0.0, 1.0, "w")


def candidate(number: int, recipe: Recipe, label: str | None = None) -> Candidate:
    return Candidate(uuid4(), number, 0 if label else 1, (0.5,), recipe, label, kind=kind_of(label))


def test_shares_are_of_the_weights_sizes_and_of_the_layers() -> None:
    assert SHAPE.shares(mixed(0.75, 0.25)) == pytest.approx({LEFT: 0.75, RIGHT: 0.25})
    assert SHAPE.shares(mixed(-1.0, 1.0)) == pytest.approx({LEFT: 0.5, RIGHT: 0.5})
    stack = stacked((LEFT, 0, 3), (RIGHT, 1, 4), (LEFT, 3, 4))
    assert SHAPE.shares(stack) == pytest.approx({LEFT: 4 / 7, RIGHT: 3 / 7})
    assert (SHAPE.depth(stack), SHAPE.parameters_of(stack)) == (7, 160)
    assert (SHAPE.depth(alone(LEFT)), SHAPE.parameters_of(alone(LEFT))) == (4, 100)


def test_every_kind_of_measure_is_taken() -> None:
    profile = Profile(stacked((LEFT, 0, 4), (RIGHT, 2, 4)), {"words": score(0.6)})
    measures = (
        Measure(kind="score", low=0, high=1, objective="words"),
        Measure(kind="share", low=0, high=1, parent=RIGHT),
        Measure(kind="depth", low=0, high=9),
        Measure(kind="parameters", low=0, high=900),
    )
    assert Criteria(measures, shape=SHAPE).measured(profile) == pytest.approx((0.6, 1 / 3, 6.0, 140.0))


def test_a_score_may_fall_short_of_the_best_parent_by_standard_errors() -> None:
    rule = Constraint(objective="words", not_below="best_parent", standard_errors=2.0)
    criteria = Criteria(constraints=(rule,), shape=SHAPE, parents=(LEFT, RIGHT))
    baselines = [
        candidate(0, alone(LEFT), "parent: left"),
        candidate(1, alone(RIGHT), "parent: right"),
        candidate(2, mixed(0.5, 0.5), "plain average"),
    ]
    values = (0.4, 0.5, 0.9)  # the average is no parent
    assigner = FitnessAssigner(criteria)
    told = assigner.assign(
        baselines, {c.number: scored(c, v) for c, v in zip(baselines, values, strict=True)}
    )
    assert [each.record.violation for each in told] == pytest.approx([0.06 / 0.46, 0.0, 0.0])
    near, far = candidate(3, mixed(0.2, 0.8)), candidate(4, mixed(0.9, 0.1))
    told = assigner.assign([near, far], {3: scored(near, 0.46), 4: scored(far, 0.23)})
    assert [each.record.violation for each in told] == pytest.approx([0.0, 0.5])
    assert told[1].evaluation is not None
    assert told[1].evaluation.violation == pytest.approx(0.5)


def test_where_smaller_is_better_the_bound_lies_above() -> None:
    rule = Constraint(objective="words", not_below="best_parent")
    best = {"words": score(2.0, higher=False)}
    for value, violation in ((1.5, 0.0), (2.0, 0.0), (3.0, 0.5)):
        profile = Profile(alone(LEFT), {"words": score(value, higher=False)})
        assert violation_of(rule, profile, SHAPE, best) == pytest.approx(violation)


def test_sizes_are_bounded_from_both_sides() -> None:
    profile = Profile(stacked((LEFT, 0, 4), (RIGHT, 0, 4)), {})
    assert violation_of(Constraint(kind="depth", at_most=4), profile, SHAPE, {}) == pytest.approx(1.0)
    assert violation_of(Constraint(kind="depth", at_least=16), profile, SHAPE, {}) == pytest.approx(0.5)
    assert violation_of(Constraint(kind="parameters", at_least=100, at_most=200), profile, SHAPE, {}) == 0.0


def test_a_failure_is_told_by_the_declared_policy() -> None:
    good, bad, failed = candidate(0, mixed(1, 0)), candidate(1, mixed(0, 1)), candidate(2, mixed(1, 1))
    outcomes = {
        0: scored(good, 0.7),
        1: scored(bad, 0.3),
        2: Failed(failed.id, 1, Failure("merge_failed", "why", "what")),
    }
    told = {}
    for policy in ("worst", "penalty", "discard"):
        assigned = FitnessAssigner(Criteria(), policy).assign([good, bad, failed], outcomes)  # type: ignore[arg-type]
        told[policy] = assigned[2].evaluation
        assert assigned[2].fitness is None
    assert told["worst"] is not None
    assert (told["worst"].fitness, told["worst"].violation) == ((0.3,), 0.0)
    assert told["penalty"] is not None
    assert (told["penalty"].fitness, told["penalty"].violation) == ((0.3,), PENALTY)
    assert told["discard"] is None
