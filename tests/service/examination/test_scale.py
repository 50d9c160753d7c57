"""How much of a lead is scale alone is said by usual recipes at the scale of what was found."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from evaluators import Score
from search_spaces import Parent, Recipe, Slice, Source
from search_spaces.recipes.settings import constant
from service.client.client import Client
from service.examination.scale_finding import scale_finding
from service.examination.scale_line import line_weight
from service.experiment.candidate import Candidate, CandidateKind
from tests.service.running import ControlledWorkforce, ended, serving, spec_over
from workers.protocol.messages import Scored

PARENTS = (Parent(model="a"), Parent(model="b"))


def recipe(*weights: float, method: str = "task_arithmetic") -> Recipe:
    sources = tuple(
        Source(parent=parent, parameters={"weight": constant(weight)})
        for parent, weight in zip(PARENTS, weights, strict=True)
    )
    return Recipe(method=method, slices=(Slice(sources=sources),), base=Parent(model="base"))


def candidate(
    number: int, kind: CandidateKind, *weights: float, method: str = "task_arithmetic"
) -> Candidate:
    label = None if kind is CandidateKind.EVOLVED else f"{method} {weights[0]:g}"
    return Candidate(uuid4(), number, 0, None, recipe(*weights, method=method), label, kind=kind)


def scored(one: Candidate, right: int) -> Scored:
    items = tuple(float(place < right) for place in range(100))
    error = (right / 100 * (1 - right / 100) / 99) ** 0.5
    return Scored(
        one.id, 1, (Score("words", "acc", right / 100, error, True, per_item=items),), 0.0, 0.0, "w"
    )


WINNER = candidate(9, CandidateKind.EVOLVED, 1.6, 1.4)
TIES = candidate(3, CandidateKind.BASELINE, 1.0, 1.0, method="ties")
USUAL = candidate(4, CandidateKind.BASELINE, 1.0, 1.0)
SCALED = candidate(10, CandidateKind.SCALED, 1.5, 1.5)

ALL = (WINNER, TIES, USUAL, SCALED)


def test_the_line_is_one_weight_for_all_parents() -> None:
    assert line_weight(recipe(1.5, 1.5)) == 1.5
    assert line_weight(recipe(1.5, 1.4)) is None
    assert line_weight(recipe(1.0, 1.0, method="ties")) is None


def test_a_lead_is_divided_into_scale_and_the_rest() -> None:
    outcomes = {one.number: scored(one, n) for one, n in zip(ALL, (90, 70, 75, 85), strict=True)}
    found = scale_finding(WINNER, ALL, {"selection": outcomes, "test": outcomes}, [1.0])
    assert found is not None
    assert (found.usual, found.line, found.split) == (4, 10, "test")
    assert [round(lead.value, 3) for lead in (found.whole, found.alone, found.rest)] == [0.15, 0.1, 0.05]
    assert found.rest.stderr == pytest.approx((0.05 * 0.95 / 99) ** 0.5)
    assert "+0.100 ± 0.030 is scale alone (task_arithmetic 1.5)" in found.words


def test_no_part_is_scale_where_the_usual_weight_is_best() -> None:
    outcomes = {one.number: scored(one, n) for one, n in zip(ALL, (90, 70, 75, 60), strict=True)}
    found = scale_finding(WINNER, ALL, {"selection": outcomes}, [1.0])
    assert found is not None
    assert found.split == "selection"
    assert "none of it is scale alone" in found.words


def test_nothing_is_said_of_a_baseline_that_won() -> None:
    outcomes = {USUAL.number: scored(USUAL, 75)}
    assert scale_finding(USUAL, (USUAL,), {"selection": outcomes}, [1.0]) is None


def test_usual_recipes_at_the_scale_of_the_best_merge_are_scored_when_the_search_ends(
    tmp_path: Path, paper_parents: dict[str, Path]
) -> None:
    usual = {"baselines": {"standard_recipes": True}}
    with serving(tmp_path / "home", ControlledWorkforce()) as url, Client(url) as client:
        client.create(spec_over(paper_parents, **usual))
        client.create(spec_over(paper_parents, name="without", examination={"scale": False}, **usual))
        for name in ("small", "without"):
            ended(client, name)
        scaled = [each for each in client.all_candidates("small") if each.kind is CandidateKind.SCALED]
        assert 0 < len(scaled) <= 4
        assert all(each.scores["search"] and each.scores["selection"] for each in scaled)
        assert not any(each.kind is CandidateKind.SCALED for each in client.all_candidates("without"))
        client.extend("small", candidates=12)
        done = ended(client, "small")
        numbers = [each.number for each in client.all_candidates("small")]
        assert len(numbers) == len(set(numbers))
        assert done.status == "succeeded"
