"""Axes: the objectives of an experiment, and how scores on them become fitness."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evaluators import Split
from service.reports.views import ObjectiveView
from service.store.models import EvaluationRow, ExperimentRow


@dataclass(frozen=True, slots=True)
class Axes:
    """The objectives of an experiment, and how they become one number.

    Attributes:
        signs: 1 where larger scores are better, -1 where smaller ones are.
    """

    objectives: tuple[ObjectiveView, ...]

    @property
    def signs(self) -> tuple[float, ...]:
        """One per objective."""
        return tuple(1.0 if objective.higher_is_better else -1.0 for objective in self.objectives)

    def fitness(self, evaluations: Iterable[EvaluationRow], split: Split) -> tuple[float, ...] | None:
        """Returns a candidate's fitness on a split, or None where a score is missing."""
        found = {row.benchmark: row.value for row in evaluations if row.split == split}
        if any(objective.name not in found for objective in self.objectives):
            return None
        return tuple(s * found[o.name] for s, o in zip(self.signs, self.objectives, strict=True))

    def scalar(self, fitness: Sequence[float]) -> float:
        """Returns the weighted mean that single-objective optimizers climb."""
        weights = [objective.weight for objective in self.objectives]
        return sum(w * f for w, f in zip(weights, fitness, strict=True)) / sum(weights)

    def in_own_units(self, fitness: Sequence[float] | None) -> list[float] | None:
        """Turns a point of fitness back into one of scores."""
        return None if fitness is None else [s * f for s, f in zip(self.signs, fitness, strict=True)]


def axes_of(row: ExperimentRow) -> Axes:
    """Returns an experiment's objectives, as its check found them."""
    return Axes(tuple(ObjectiveView.model_validate(objective) for objective in row.facts["objectives"]))
