"""What is said of a winner, from scores that are written down here."""

from __future__ import annotations

from uuid import uuid4

import pytest

from evaluators import Score, Split
from search_spaces import Recipe
from service.examination.analysis import Evidence, best_parent, findings, role_of, sensitivity
from service.experiment.candidate import Candidate
from service.experiment.objectives import ObjectiveFacts, Objectives
from tests.service.kinds import kind_of
from workers.protocol.failure import Failure
from workers.protocol.messages import Failed, Outcome, Scored

ITEMS = 100
RECIPE = Recipe.model_validate(
    {
        "method": "linear",
        "slices": [{"sources": [{"parent": "/m/a", "parameters": {"weight": [{"value": 1.0}]}}]}],
    }
)
OBJECTIVE = ObjectiveFacts(
    name="sums",
    task="sums",
    metric="acc,none",
    higher_is_better=True,
    weight=1.0,
    items={"search": ITEMS, "selection": ITEMS, "test": ITEMS},
    overlap=0.2,
    warnings=("everybody has seen it",),
)


def candidate(number: int, label: str | None = None) -> Candidate:
    return Candidate(uuid4(), number, 0, None, RECIPE, label, kind=kind_of(label))


def scored(right: int, *, start: int = 0, item_set: str = "standard", **notes: int) -> Scored:
    """Answers the items from `start` on correctly, `right` of them."""
    items = tuple(float(start <= place < start + right) for place in range(ITEMS))
    value = sum(items) / ITEMS
    stderr = (value * (1 - value) / (ITEMS - 1)) ** 0.5
    score = Score(
        "sums", "acc,none", value, stderr, True, items, item_set=item_set, notes=tuple(notes.items())
    )
    return Scored(uuid4(), 1, (score,), 0.1, 0.1, "w0")


EVERYBODY = (
    candidate(0, "parent: left"),
    candidate(1, "parent: right"),
    candidate(2, "plain average"),
    candidate(3, "ties"),
    candidate(4),
    candidate(5),
)


def evidence(test: dict[int, Outcome], selection: dict[int, int] | None = None) -> Evidence:
    right = selection or {0: 40, 1: 45, 2: 50, 3: 30, 4: 70, 5: 68}
    outcomes: dict[Split, dict[int, Outcome]] = {
        "search": {4: scored(80)},
        "selection": {number: scored(count) for number, count in right.items()},
        "test": test,
    }
    return Evidence(4, EVERYBODY, outcomes)


def test_the_winner_is_tested_against_every_baseline_item_by_item() -> None:
    test: dict[int, Outcome] = {
        n: scored(c) for n, c in ((0, 40), (1, 72), (2, 50), (3, 60), (4, 60), (5, 1))
    }
    found = findings(evidence(test), Objectives((OBJECTIVE,)))
    by_label = {comparison.label: comparison for comparison in found.comparisons}
    assert list(by_label) == ["parent: left", "parent: right", "plain average", "ties"]
    left, right = by_label["parent: left"], by_label["parent: right"]
    assert (left.better, left.worse, left.test) == (20, 0, "mcnemar")
    assert left.difference == pytest.approx(0.2)
    assert left.p_value < 1e-4
    assert not left.regression
    assert right.regression  # 12 items lost, none won
    assert right.best_parent
    assert found.regressions == (right,)
    assert by_label["ties"].p_value == 1.0
    assert by_label["plain average"].role == "average"


def test_a_small_loss_is_no_regression() -> None:
    test: dict[int, Outcome] = {1: scored(62), 4: scored(60)}
    (comparison,) = findings(evidence(test), Objectives((OBJECTIVE,))).comparisons
    assert comparison.difference < 0
    assert not comparison.regression


def test_optimism_has_an_error_and_what_ran_out_of_room_is_told() -> None:
    test: dict[int, Outcome] = {4: scored(50, truncated=10, unextracted=4, overlong=100)}
    found = findings(evidence(test), Objectives((OBJECTIVE,)))
    (objective,) = found.objectives
    assert objective.optimism == pytest.approx(0.3)
    assert objective.optimism_stderr == pytest.approx((0.8 * 0.2 / 99 + 0.5 * 0.5 / 99) ** 0.5)
    assert objective.test is not None
    assert (objective.test.truncated, objective.test.unextracted, objective.test.overlong) == (0.1, 0.04, 1.0)
    assert objective.overlap == 0.2
    text = "\n".join(found.warnings)
    for words in (
        "everybody has seen it",
        "20% of the test items share",
        "10% of the test items' answers ran out of room",
        "100% of the test items' prompts",
        "flattered the winner by 0.300",
    ):
        assert words in text
    assert "held no answer" not in text  # 4 % is few


def test_the_best_parent_is_that_of_the_selection_split_whatever_the_sign() -> None:
    assert best_parent(evidence({}), Objectives((OBJECTIVE,))) == 1
    assert best_parent(evidence({}, {0: 46, 1: 45}), Objectives((OBJECTIVE,))) == 0
    assert best_parent(evidence({}, {4: 1}), Objectives((OBJECTIVE,))) is None
    assert [role_of(kind_of(label)) for label in ("parent: a", "plain average", "ties", None)] == [
        "parent",
        "average",
        "baseline",
        "candidate",
    ]


def test_the_chances_of_close_finalists_are_shared() -> None:
    found = findings(evidence({4: scored(50)}), Objectives((OBJECTIVE,))).chances_on_front
    chances = {one.number: one.chance for one in found}
    assert found[0].number == 4
    assert chances[4] > 0.9
    assert 0.0 < chances[5] < 0.5
    assert chances[3] == 0.0


def test_sensitivity_is_told_where_something_was_asked_differently() -> None:
    before = scored(60)
    (changed,) = sensitivity("seed 1", before, scored(55, item_set="another"))
    assert changed.objective == "sums"
    assert changed.change == pytest.approx(-0.05)
    assert changed.stderr == pytest.approx((0.05 * 0.95 / 99) ** 0.5)
    assert list(sensitivity("twice the length", before, scored(60))) == []
    failed = Failed(uuid4(), 1, Failure("timeout", "it took too long", "wait"))
    (told,) = sensitivity("seed 1", before, failed)
    assert told.failure == "it took too long"
