"""The verdict compares the winner to its rivals on held-out items."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from service.experiment.candidate import CandidateKind
from service.experiment.findings import ComparisonFinding, ExaminationFindings
from service.experiment.status import ExperimentStatus
from service.reports.views import ExperimentView, WinnerView
from service.web.dashboard.verdict import best_parent, verdict_of, weighted_mean
from tests.service.web.dashboard.examples import objective, point, progress, two_skills


def experiment(winner: int | None) -> ExperimentView:
    return ExperimentView(
        id=uuid4(),
        name="example",
        status=ExperimentStatus.SUCCEEDED,
        reason=None,
        algorithm="nsga2",
        created_at=datetime.now(UTC),
        started_at=None,
        ended_at=None,
        progress=progress(),
        objectives=two_skills().objectives,
        parents=["left", "right"],
        base=None,
        winner=None if winner is None else WinnerView(number=winner, label=None, optimism={"maths": 0.05}),
        failure=None,
        may=["export"],
    )


def test_the_winner_is_compared_to_the_best_parent_and_the_best_other_baseline() -> None:
    verdict = verdict_of(experiment(winner=3), two_skills(split="test", winner=3))

    assert verdict is not None
    assert verdict.over_parent is not None
    assert verdict.over_parent.rival == "parent: left"
    assert verdict.over_parent.value == pytest.approx(0.6 - 0.5)
    assert verdict.over_baseline is not None
    assert verdict.over_baseline.rival == "plain average"
    assert verdict.over_baseline.value == pytest.approx(0.6 - 0.4)


def test_a_gain_is_clear_when_it_exceeds_twice_its_standard_error() -> None:
    verdict = verdict_of(experiment(winner=3), two_skills(split="test", winner=3))

    assert verdict is not None
    assert verdict.over_parent is not None
    assert verdict.over_parent.stderr == pytest.approx(0.02)  # four errors of 0.02, each weighing a half
    assert verdict.over_parent.is_clear


def test_a_gain_within_the_noise_is_not_clear() -> None:
    view = two_skills(split="test", winner=3)
    close = point(2, {"maths": 0.61, "japanese": 0.58}, label="plain average", split="test")
    verdict = verdict_of(experiment(winner=3), view.model_copy(update={"baselines": [close]}))

    assert verdict is not None
    assert verdict.over_baseline is not None
    assert not verdict.over_baseline.is_clear
    assert verdict.over_parent is None


def examined(parent: int, **differences: tuple[float, float]) -> ExaminationFindings:
    """Findings that call a parent the best, with (difference, p) per objective."""
    comparisons = tuple(
        ComparisonFinding(
            number=parent,
            label=None,
            role="parent",
            objective=name,
            difference=difference,
            stderr=0.02,
            better=3,
            worse=1,
            p_value=p,
            test="mcnemar",
            best_parent=True,
        )
        for name, (difference, p) in differences.items()
    )
    return ExaminationFindings(objectives=(), comparisons=comparisons)


def test_the_best_parent_is_the_one_that_the_examination_chose_before_the_test_split_was_opened() -> None:
    view, base = two_skills(split="test", winner=3), experiment(winner=3)
    assert base.winner is not None
    found = examined(1, maths=(0.6, 0.001), japanese=(-0.3, 0.01), summaries=(0.01, 0.7))
    winner = base.winner.model_copy(update={"examination": found})

    verdict = verdict_of(base.model_copy(update={"winner": winner}), view)

    assert verdict is not None
    assert verdict.over_parent is not None
    assert verdict.over_parent.rival == "parent: right"  # though parent: left has the better mean on test
    assert [chip.trend for chip in verdict.chips] == ["better", "regression", "about equal"]
    chosen = best_parent(view.baselines, view.objectives, "test", found)
    assert chosen is not None
    assert chosen.point.label == "parent: right"


def test_optimism_is_in_the_objectives_order_and_may_be_unknown() -> None:
    verdict = verdict_of(experiment(winner=3), two_skills(split="test", winner=3))

    assert verdict is not None
    assert verdict.optimism == (0.05, None)


def test_there_is_no_verdict_without_a_winner_or_its_scores() -> None:
    assert verdict_of(experiment(winner=None), two_skills(split="test")) is None
    assert verdict_of(experiment(winner=77), two_skills(split="test")) is None


def test_the_mean_counts_smaller_scores_as_better_where_they_are() -> None:
    objectives = [objective("maths"), objective("loss", higher_is_better=False)]

    mean = weighted_mean(point(0, {"maths": 0.8, "loss": 0.2}), objectives, "search")

    assert mean is not None
    assert mean.value == pytest.approx((0.8 - 0.2) / 2)


def test_a_mean_needs_all_objectives() -> None:
    assert weighted_mean(point(0, {"maths": 0.8}), two_skills().objectives, "search") is None


def test_the_best_parent_has_the_highest_mean() -> None:
    view = two_skills()

    parent = best_parent(view.baselines, view.objectives, "search")

    assert parent is not None
    assert parent.point.label == "parent: left"


def test_a_parent_that_won_is_compared_to_the_best_other_parent() -> None:
    verdict = verdict_of(experiment(winner=0), two_skills(split="test", winner=0))

    assert verdict is not None
    assert verdict.is_bare
    assert verdict.over_parent is not None
    assert verdict.over_parent.rival == "parent: right"
    other = verdict_of(experiment(winner=2), two_skills(split="test", winner=2))
    assert other is not None
    assert other.is_baseline
    assert not other.is_bare


def test_the_mean_of_the_search_is_no_baseline() -> None:
    view = two_skills(split="test", winner=3)
    renamed = [
        p.model_copy(update={"kind": CandidateKind.MEAN} if p.number == 3 else {})
        for p in (*view.front, *view.dominated)
    ]
    verdict = verdict_of(experiment(winner=3), view.model_copy(update={"front": renamed, "dominated": []}))

    assert verdict is not None
    assert not verdict.is_baseline
