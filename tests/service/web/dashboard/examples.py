"""Example views: small, with numbers that a reader can check."""

from __future__ import annotations

from collections.abc import Mapping

from evaluators import Split
from service.experiment.objectives import ObjectiveFacts
from service.reports.views import FrontPoint, FrontView, HypervolumePoint, ProgressView, ScoreView
from tests.service.kinds import kind_of


def objective(name: str, *, higher_is_better: bool = True, metric: str = "acc,none") -> ObjectiveFacts:
    """An objective of weight 1."""
    items: dict[Split, int] = {"search": 100, "selection": 50, "test": 100}
    return ObjectiveFacts(
        name=name, task=name, metric=metric, higher_is_better=higher_is_better, weight=1.0, items=items
    )


def point(
    number: int, values: Mapping[str, float], *, label: str | None = None, split: Split = "search"
) -> FrontPoint:
    """A candidate with a standard error of 0.02 everywhere."""
    scores = [
        ScoreView(
            benchmark=name, metric="acc,none", value=value, stderr=0.02, higher_is_better=True, items=100
        )
        for name, value in values.items()
    ]
    return FrontPoint(number=number, kind=kind_of(label), label=label, scores={split: scores})


def two_skills(
    *, split: Split = "search", winner: int | None = None, names: tuple[str, str] = ("maths", "japanese")
) -> FrontView:
    """Two parents at the ends, their average below, two merges on the front and one behind it."""

    def at(number: int, x: float, y: float, label: str | None = None) -> FrontPoint:
        return point(number, {names[0]: x, names[1]: y}, label=label, split=split)

    left, right = at(0, 0.9, 0.1, "parent: left"), at(1, 0.1, 0.8, "parent: right")
    return FrontView(
        split=split,
        objectives=[objective(name) for name in names],
        front=[left, right, at(3, 0.7, 0.5), at(4, 0.5, 0.7)],
        front_total=4,
        baselines=[left, right, at(2, 0.4, 0.4, "plain average")],
        dominated=[at(5, 0.3, 0.3)],
        dominated_total=1,
        reference=[0.1, 0.1],
        hypervolume=0.38,
        winner=winner,
    )


def progress() -> ProgressView:
    """Three generations."""
    course = [(0, 3, 0.10, 0.50), (1, 5, 0.30, 0.60), (2, 6, 0.38, 0.60)]
    return ProgressView(
        counts={},
        settled=6,
        total=10,
        rate=2.0,
        eta_seconds=2.0,
        best=0.6,
        best_number=3,
        best_baseline=0.5,
        generation=2,
        hypervolume=[
            HypervolumePoint(generation=g, candidates=n, hypervolume=h, best=b) for g, n, h, b in course
        ],
        reference=[0.1, 0.1],
    )
