"""What held-out items say: which usual recipe is the best, and by how much the winner is better."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from evaluators import Split
from evaluators.sampling.statistics import PairedTest, paired_test
from service.experiment.candidate import CandidateKind
from service.experiment.objectives import ObjectiveFacts
from service.inprocess.result import Result
from service.reports.views import FrontPoint

USUAL = (CandidateKind.AVERAGE, CandidateKind.BASELINE)
Answers = Mapping[str, Sequence[float]]  # by objective, an item's value each


def best_usual(result: Result) -> FrontPoint:
    """Returns the usual recipe that the selection split, or where it was not asked the search, likes best.

    Raises:
        ValueError: The experiment had none.
    """
    found = [point for point in result.front.view.baselines if point.kind in USUAL]
    if not found:
        raise ValueError("the experiment has no usual recipe to compare with: leave its baselines in")
    return max(found, key=lambda point: mean_fitness(point, result.experiment.objectives))


def mean_fitness(point: FrontPoint, objectives: Sequence[ObjectiveFacts]) -> float:
    """Returns the objectives' weighted mean on the selection split, or where it was not asked the search."""
    splits: tuple[Split, ...] = ("selection", "search")
    scores = next(found for split in splits if (found := point.scores.get(split)))
    values = {score.benchmark: score.value for score in scores}
    total = sum(objective.weight for objective in objectives)
    return sum(o.weight * o.sign * values[o.name] for o in objectives) / total


def gains(winner: Answers, usual: Answers, objectives: Sequence[ObjectiveFacts]) -> dict[str, PairedTest]:
    """Returns the winner against the usual recipe on the same items, larger being better, per objective."""
    return {
        o.name: paired_test([o.sign * v for v in winner[o.name]], [o.sign * v for v in usual[o.name]])
        for o in objectives
    }


def mean_gain(tests: Mapping[str, PairedTest], objectives: Sequence[ObjectiveFacts]) -> tuple[float, float]:
    """Returns the objectives' weighted mean gain, and its standard error."""
    total = sum(objective.weight for objective in objectives)
    shares = [(objective.weight / total, tests[objective.name]) for objective in objectives]
    gain = sum(share * test.difference for share, test in shares)
    return gain, math.sqrt(sum((share * test.stderr) ** 2 for share, test in shares))


def point_of(result: Result, number: int) -> FrontPoint:
    """Returns a candidate with its scores."""
    view = result.front.view
    return next(point for point in (*view.front, *view.baselines, *view.dominated) if point.number == number)
