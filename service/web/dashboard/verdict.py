"""The result of a search in one glance: the winner beside its parents, on items held out from the search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evaluators import Split
from service.experiment.candidate import CandidateKind
from service.experiment.objectives import ObjectiveFacts, Objectives
from service.reports.views import ExperimentView, FrontView, ScoreView
from service.web.dashboard.formats import all_shares
from service.web.dashboard.plane import Point, score_of

MOST_PARENTS = 4


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


@dataclass(frozen=True, slots=True)
class Verdict:
    """The winner, what it is compared to, and the search's optimism about it.

    Attributes:
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

    @property
    def is_baseline(self) -> bool:
        """Whether nothing that the search found was better than what it began with."""
        return self.winner.point.kind.is_baseline

    @property
    def is_bare(self) -> bool:
        """Whether a model that the search began with won as it is."""
        return self.winner.point.kind.is_bare

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
    baselines: Sequence[Point], objectives: Sequence[ObjectiveFacts], split: Split
) -> VerdictRow | None:
    """Returns the parent with the highest weighted mean on a split."""
    parents = [point for point in baselines if point.kind is CandidateKind.PARENT]
    return next(iter(_rows("best parent", parents, objectives, split)), None)


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
    parents = _rows("parent", [p for p in others if p.kind is CandidateKind.PARENT], *axes)[:MOST_PARENTS]
    baselines = _rows("best baseline", [p for p in others if p.kind is not CandidateKind.PARENT], *axes)[:1]
    return Verdict(
        split=view.split,
        rows=(winner, *baselines, *parents),
        over_parent=_gain(winner, parents),
        over_baseline=_gain(winner, baselines),
        optimism=tuple(experiment.winner.optimism.get(o.name) for o in view.objectives),
        share=all_shares(view.objectives),
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
