"""Criteria: what places a candidate in an archive (measures), and what must hold (constraints).

Neither is an objective: nobody climbs them.  Pure: numbers and recipes in, numbers out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evaluators import Score
from search_spaces import Parent, Recipe
from service.search.recipe_shape import ParentShape

Kind = Literal["score", "share", "depth", "parameters"]


@dataclass(frozen=True, slots=True)
class Profile:
    """A candidate as criteria see it: its recipe, and its scores by objective."""

    recipe: Recipe
    scores: Mapping[str, Score]


@dataclass(frozen=True, slots=True)
class Measure:
    """A property of a candidate that an archive is laid out by.

    Attributes:
        kind: `score` of an objective, `share` of a parent in the mixture, `depth` in layers, or
            number of `parameters`.
        objective: Whose score, for that kind; parent: whose share.
        low, high: The archive's range; what lies beyond counts to the outermost cells.
    """

    name: str
    kind: Kind
    low: float
    high: float
    cells: int
    objective: str = ""
    parent: Parent | None = None

    def value(self, profile: Profile, shape: ParentShape) -> float:
        """Returns the candidate's place along this measure."""
        return _value(self.kind, profile, shape, objective=self.objective, parent=self.parent)


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound that candidates must keep.

    Attributes:
        kind: As of a measure.
        at_least, at_most: The bound, in the quantity's own unit.
        best_parent: Bounds a score by the best parent's instead, in the direction that is worse.
        standard_errors: By how many of that parent's standard errors a score may be worse.
    """

    kind: Kind
    objective: str = ""
    parent: Parent | None = None
    at_least: float | None = None
    at_most: float | None = None
    best_parent: bool = False
    standard_errors: float = 0.0

    def violation(self, profile: Profile, shape: ParentShape, best: Mapping[str, Score]) -> float:
        """Returns by how much the bound is broken, as a share of the bound; 0 where it holds."""
        value = _value(self.kind, profile, shape, objective=self.objective, parent=self.parent)
        low, high = self.at_least, self.at_most
        if self.best_parent and self.objective in best:
            score = best[self.objective]
            slack = self.standard_errors * score.stderr
            if score.higher_is_better:
                low = score.value - slack
            else:
                high = score.value + slack
        below = 0.0 if low is None else max(low - value, 0.0) / (abs(low) or 1.0)
        above = 0.0 if high is None else max(value - high, 0.0) / (abs(high) or 1.0)
        return below + above


_NO_SHAPE = ParentShape(layers=0)


@dataclass(frozen=True, slots=True)
class Criteria:
    """All measures and constraints of an experiment.

    Attributes:
        parents: Whose best score bounds may follow: the parents without the base.
    """

    measures: tuple[Measure, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    shape: ParentShape = _NO_SHAPE
    parents: tuple[Parent, ...] = ()

    def measured(self, profile: Profile) -> tuple[float, ...]:
        """Returns one number per measure."""
        return tuple(measure.value(profile, self.shape) for measure in self.measures)

    def violation(self, profile: Profile, best: Mapping[str, Score]) -> float:
        """Returns by how much the constraints are broken, summed; 0 where all hold.

        Args:
            profile: The candidate's.
            best: The best parent's score per objective.
        """
        return sum(constraint.violation(profile, self.shape, best) for constraint in self.constraints)

    def is_parent(self, recipe: Recipe) -> bool:
        """Says whether a recipe is one of the parents as it is."""
        if recipe.method != "passthrough" or len(recipe.slices) != 1:
            return False
        source = recipe.slices[0].sources[0]
        return source.layers is None and not source.parameters and source.parent in self.parents


def best_scores(profiles: Sequence[Profile]) -> dict[str, Score]:
    """Returns the best score per objective, of equals the first."""
    best: dict[str, Score] = {}
    for profile in profiles:
        for name, score in profile.scores.items():
            if name not in best or score.fitness > best[name].fitness:
                best[name] = score
    return best


def _value(
    kind: Kind, profile: Profile, shape: ParentShape, *, objective: str, parent: Parent | None
) -> float:
    match kind:
        case "score":
            return profile.scores[objective].value
        case "share":
            return shape.shares(profile.recipe).get(parent, 0.0) if parent is not None else 0.0
        case "depth":
            return float(shape.depth(profile.recipe))
        case "parameters":
            return float(shape.parameters_of(profile.recipe))
