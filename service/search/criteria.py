"""Criteria: what places a candidate in an archive (measures), and what must hold (constraints).

Neither is an objective: no optimizer climbs them.  What they are is the spec's
(`service.experiment.criteria`); this file computes them.  Pure: numbers and recipes in, numbers out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluators import Score
from search_spaces import Infeasible, Parent, Recipe
from service.experiment.candidate import Candidate
from service.experiment.criteria import Constraint, Measure
from service.search.recipe_shape import ParentShape


@dataclass(frozen=True, slots=True)
class Profile:
    """A candidate as criteria see it: its recipe, and its scores by objective.

    Attributes:
        subject: The recipe, or a candidate that has one, which is read only where a criterion asks for it.
    """

    subject: Recipe | Candidate
    scores: Mapping[str, Score]

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        found = self.subject if isinstance(self.subject, Recipe) else self.subject.recipe
        if isinstance(found, Infeasible):
            raise TypeError(f"criteria were asked of a genome without a recipe: {found.reason}")
        return found


def value_of(criterion: Measure | Constraint, profile: Profile, shape: ParentShape) -> float:
    """Returns the quantity that a measure or constraint is about, in its own unit."""
    match criterion.kind:
        case "score" | "output_length":
            return profile.scores[criterion.objective or ""].value
        case "share":
            return shape.shares(profile.recipe).get(criterion.parent, 0.0) if criterion.parent else 0.0
        case "depth":
            return float(shape.depth(profile.recipe))
        case "parameters":
            return float(shape.parameters_of(profile.recipe))


def violation_of(
    constraint: Constraint, profile: Profile, shape: ParentShape, best: Mapping[str, Score]
) -> float:
    """Returns by how much a bound is broken, as a share of the bound; 0 where it holds.

    Args:
        constraint: What must hold.
        profile: The candidate's.
        shape: What the parents share.
        best: The best parent's score per objective, for bounds that follow it.
    """
    value = value_of(constraint, profile, shape)
    low, high = constraint.at_least, constraint.at_most
    if constraint.not_below is not None and (score := best.get(constraint.objective or "")) is not None:
        slack = constraint.standard_errors * score.stderr
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
        return tuple(value_of(measure, profile, self.shape) for measure in self.measures)

    def violation(self, profile: Profile, best: Mapping[str, Score]) -> float:
        """Returns by how much the constraints are broken, summed; 0 where all hold.

        Args:
            profile: The candidate's.
            best: The best parent's score per objective.
        """
        return sum(violation_of(constraint, profile, self.shape, best) for constraint in self.constraints)

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
