"""The result of a search in one glance: the winner beside its parents, on items held out from the search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from evaluators import Split
from service.experiment.candidate import CandidateKind
from service.experiment.findings import ComparisonFinding, ExaminationFindings
from service.experiment.objectives import ObjectiveFacts, Objectives
from service.reports.views import ExperimentView, FrontView, ScoreView
from service.web.dashboard.formats import all_shares
from service.web.dashboard.pictures.plane import Point, score_of

MOST_PARENTS = 4
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Mean:
    """A candidate's weighted mean over the objectives, as fitness, with its standard error."""

    value: float
    stderr: float


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One row of the verdict: a model and its scores on one split, in the objectives' order."""

    role: str
    point: Point
    scores: tuple[ScoreView | None, ...]
    mean: Mean


@dataclass(frozen=True, slots=True)
class Gain:
    """How far the winner is above a rival; the two standard errors are taken as independent."""

    rival: str
    value: float
    stderr: float

    @property
    def is_clear(self) -> bool:
        """Says whether the difference exceeds twice its standard error."""
        return abs(self.value) > 2 * self.stderr


Trend = Literal["better", "regression", "about equal"]


@dataclass(frozen=True, slots=True)
class Chip:
    """What the paired test on the test items says of the winner and the best parent, on one objective.

    Attributes:
        difference: Mean fitness of the winner less that of the parent; `stderr` is its standard error.
    """

    objective: str
    trend: Trend
    difference: float
    stderr: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The winner, what it is compared to, and the search's optimism about it.

    Attributes:
        chips: One per objective, against the best parent; empty where no examination compared them.
        over_parent, over_baseline: None where no such rival was evaluated on the split.
        optimism: Search score minus score on this split, per objective, None where unknown.
        share: The weighted mean can be read in percent.
    """

    split: Split
    rows: tuple[VerdictRow, ...]
    over_parent: Gain | None
    over_baseline: Gain | None
    optimism: tuple[float | None, ...]
    share: bool
    chips: tuple[Chip, ...] = ()

    @property
    def is_baseline(self) -> bool:
        """Whether nothing that the search found was better than what it began with."""
        return self.winner.point.kind.is_baseline

    @property
    def is_bare(self) -> bool:
        """Whether a model that the search began with won as it is."""
        return self.winner.point.kind.is_bare

    @property
    def is_clear_gain(self) -> bool:
        """Whether a merge won that is clearly above the best parent on average."""
        gain = self.over_parent
        return gain is not None and gain.is_clear and gain.value > 0 and not self.is_bare

    @property
    def winner(self) -> VerdictRow:
        """The row of the winner."""
        return self.rows[0]


def weighted_mean(point: Point, objectives: Sequence[ObjectiveFacts], split: Split) -> Mean | None:
    """Returns the mean that single-objective searches climb; None unless all objectives were scored."""
    found = {each.name: score_of(point, each.name, split) for each in objectives}
    scores = {name: score for name, score in found.items() if score is not None}
    all_of_them = Objectives(tuple(objectives))
    fitness = all_of_them.fitness({name: score.value for name, score in scores.items()})
    if fitness is None:
        return None
    stderr = all_of_them.scalar_stderr([scores[name].stderr for name in all_of_them.names])
    return Mean(all_of_them.scalar(fitness), stderr)


def best_parent(
    baselines: Sequence[Point],
    objectives: Sequence[ObjectiveFacts],
    split: Split,
    found: ExaminationFindings | None = None,
) -> VerdictRow | None:
    """Returns the best parent: by the selection items as the examination found, else by its mean here."""
    parents = [point for point in baselines if point.kind is CandidateKind.PARENT]
    rows = _rows("best parent", parents, objectives, split)
    chosen = best_parent_number(found)
    return next((row for row in rows if row.point.number == chosen), next(iter(rows), None))


def best_parent_number(found: ExaminationFindings | None) -> int | None:
    """Returns which parent the examination calls the best, by the selection items."""
    comparisons = () if found is None else found.comparisons
    return next((one.number for one in comparisons if one.best_parent), None)


def _chips(found: ExaminationFindings | None) -> tuple[Chip, ...]:
    return tuple(
        Chip(one.objective, _trend(one), one.difference, one.stderr)
        for one in (() if found is None else found.comparisons)
        if one.best_parent
    )


def _trend(one: ComparisonFinding) -> Trend:
    if one.p_value >= SIGNIFICANT:
        return "about equal"
    return "better" if one.difference > 0 else "regression"


def verdict_of(experiment: ExperimentView, view: FrontView) -> Verdict | None:
    """Compares the winner to its rivals on the split of the front; None without a winner or scores."""
    if experiment.winner is None:
        return None
    everyone = {p.number: p for p in (*view.dominated, *view.baselines, *view.front)}
    point = everyone.get(experiment.winner.number)
    axes = (view.objectives, view.split)
    found = _rows("winner", [point] if point else [], *axes)
    if not found:
        return None
    winner, others = found[0], [p for p in view.baselines if p.number != experiment.winner.number]
    examined = experiment.winner.examination
    parents = _rows("parent", [p for p in others if p.kind is CandidateKind.PARENT], *axes)
    chosen = best_parent_number(examined)
    parents = sorted(parents, key=lambda row: row.point.number != chosen)[:MOST_PARENTS]
    if parents:
        parents[0] = replace(parents[0], role="best parent")
    baselines = _rows("best baseline", [p for p in others if p.kind is not CandidateKind.PARENT], *axes)[:1]
    return Verdict(
        split=view.split,
        rows=(winner, *baselines, *parents),
        over_parent=_gain(winner, parents),
        over_baseline=_gain(winner, baselines),
        optimism=tuple(experiment.winner.optimism.get(o.name) for o in view.objectives),
        share=all_shares(view.objectives),
        chips=_chips(examined),
    )


def _rows(
    role: str, points: Sequence[Point], objectives: Sequence[ObjectiveFacts], split: Split
) -> list[VerdictRow]:
    """The points that were scored on all objectives, best first."""
    found = [
        VerdictRow(role, point, tuple(score_of(point, o.name, split) for o in objectives), mean)
        for point in points
        if (mean := weighted_mean(point, objectives, split)) is not None
    ]
    return sorted(found, key=lambda row: -row.mean.value)


def _gain(winner: VerdictRow, rivals: Sequence[VerdictRow]) -> Gain | None:
    if not rivals:
        return None
    rival = rivals[0]
    stderr = math.hypot(winner.mean.stderr, rival.mean.stderr)
    return Gain(rival.point.label or "", winner.mean.value - rival.mean.value, stderr)
