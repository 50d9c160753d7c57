"""From events to points: what a tracker is told of every candidate and generation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from evaluators import Split
from service.experiment.objectives import Objectives
from service.reports.views import CandidateView, EventView, ScoreView
from service.trackers.progress_file import Told
from service.trackers.tracker import Point

Look = Callable[[int], CandidateView]
SETTLED, GENERATION = "candidate.settled", "generation.told"


def points_of(
    events: Iterable[EventView], told: Told, objectives: Objectives, look: Look
) -> tuple[list[Point], Told]:
    """Returns the points of new events, and how far a target is when it knows them.

    Args:
        events: In their order, the first after `told.event`.
        told: How far the target is.
        objectives: The experiment's.
        look: Returns a candidate by its number.
    """
    points: list[Point] = []
    for event in events:
        told = told.model_copy(update={"event": event.id})
        if event.kind == SETTLED:
            candidate = look(int(event.payload["number"]))
            values = _candidate_values(candidate, objectives)
            mean = values.get("weighted_mean")
            best = told.best if mean is None else max(mean, -math.inf if told.best is None else told.best)
            told = told.model_copy(update={"step": told.step + 1, "best": best})
            values |= {} if best is None else {"best": best}
            points.append(Point(told.step, event.created_at, values))
        elif event.kind == GENERATION:
            values = {
                "hypervolume": float(event.payload["hypervolume"]),
                "generation": float(event.payload["generation"]),
            }
            points.append(Point(told.step, event.created_at, values))
    return points, told


def _candidate_values(candidate: CandidateView, objectives: Objectives) -> dict[str, float]:
    scores = candidate.scores.get("search", [])
    values = {"candidate": float(candidate.number)} | score_values(scores, "search")
    fitness = objectives.fitness({score.benchmark: score.value for score in scores})
    if fitness is not None:
        values["weighted_mean"] = objectives.scalar(fitness)
    return values


def score_values(scores: Iterable[ScoreView], split: Split) -> dict[str, float]:
    """Returns scores and their standard errors by name."""
    values: dict[str, float] = {}
    for score in scores:
        values[f"{split}/{score.benchmark}"] = score.value
        values[f"{split}/{score.benchmark}_stderr"] = score.stderr
    return values
