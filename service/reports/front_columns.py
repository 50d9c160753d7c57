"""How a front is laid out as a table: a column for every split and objective, rows in order of interest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evaluators import SPLITS, Split
from service.experiment.objectives import ObjectiveFacts

if TYPE_CHECKING:
    from service.reports.views import FrontPoint, FrontView, ScoreView


class FrontColumn(NamedTuple):
    """One objective on one split."""

    split: Split
    objective: ObjectiveFacts

    def score(self, point: FrontPoint) -> ScoreView | None:
        """Returns a candidate's score, if it was evaluated there."""
        scores = point.scores.get(self.split, ())
        return next((score for score in scores if score.benchmark == self.objective.name), None)


class FrontRow(NamedTuple):
    """A candidate, and whether it is on the front."""

    point: FrontPoint
    on_front: bool


def front_columns(view: FrontView) -> list[FrontColumn]:
    """Returns the splits that anything was scored on, the front's own first, with each objective."""
    seen = {split for point in (*view.front, *view.baselines) for split in point.scores}
    splits = [view.split, *(split for split in SPLITS if split in seen and split != view.split)]
    return [FrontColumn(split, objective) for split in splits for objective in view.objectives]


def front_rows(view: FrontView, *, dominated: bool = False) -> list[FrontRow]:
    """Returns the front, a winner that is behind it, and the baselines; each candidate once.

    Args:
        view: The front on a split.
        dominated: All other candidates, too.
    """
    front = {point.number for point in view.front}
    behind = [point for point in view.dominated if dominated or point.number == view.winner]
    others = {point.number: point for point in (*behind, *view.baselines) if point.number not in front}
    return [*(FrontRow(p, True) for p in view.front), *(FrontRow(p, False) for p in others.values())]
