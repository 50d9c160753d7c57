"""Objectives: what an experiment improves, and how scores on it become fitness and one number.

The only place that knows directions and weights, but for a `Score`'s own direction: fitness is larger the
better a score is, and the scalar is the mean of the fitness weighted by the objectives' weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from evaluators import Split
from evaluators.scores import sign_of


class ObjectiveFacts(BaseModel):
    """One objective, as the check of the spec found it.

    Attributes:
        items: How many items each split has.
        overlap: Share of the test items that have a long passage in common with a search item.
        warnings: What a reader of its scores must know, wherever they are shown.
        prompts: How it is put to models, in words, by the parent whose tokenizer they have.
        templates: The parents whose chat templates the search chooses from, if it does.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    task: str
    metric: str
    higher_is_better: bool
    weight: float
    items: dict[Split, int]
    overlap: float | None = None
    warnings: tuple[str, ...] = ()
    prompts: dict[str, str] = Field(default_factory=dict)
    templates: tuple[str, ...] = ()

    @property
    def asked(self) -> str:
        """Says how it is put to models, those that are asked otherwise last; "" where that is not known."""
        if not self.prompts:
            return ""
        (merged, usual), *others = self.prompts.items()
        chosen = f"{' or '.join(map(_short, self.templates))}, as its recipe says" if self.templates else ""
        told = [usual.replace("its chat template", f"chat template of {chosen or _short(merged)}")]
        told += [f"{_short(name)}: {how}" for name, how in others if how != usual]
        return "; ".join(told)

    @property
    def sign(self) -> float:
        """1 where larger scores are better, -1 where smaller ones are."""
        return sign_of(higher_is_better=self.higher_is_better)


def _short(parent: str) -> str:
    """Returns a folder's own name; names of the Hub stay whole."""
    return parent.rpartition("/")[2] if parent.startswith("/") else parent


@dataclass(frozen=True, slots=True)
class Objectives:
    """All objectives of an experiment, in its order."""

    each: tuple[ObjectiveFacts, ...]

    def __iter__(self) -> Iterator[ObjectiveFacts]:
        return iter(self.each)

    def __len__(self) -> int:
        return len(self.each)

    @property
    def names(self) -> tuple[str, ...]:
        """One per objective."""
        return tuple(objective.name for objective in self.each)

    @property
    def weights(self) -> tuple[float, ...]:
        """One per objective."""
        return tuple(objective.weight for objective in self.each)

    def fitness(self, scores: Mapping[str, float]) -> tuple[float, ...] | None:
        """Returns one number per objective, larger is better; None where a score is missing.

        Args:
            scores: Values by the objectives' names, in their own units.
        """
        if any(objective.name not in scores for objective in self.each):
            return None
        return tuple(objective.sign * scores[objective.name] for objective in self.each)

    def scalar(self, fitness: Sequence[float]) -> float:
        """Returns the weighted mean that single-objective optimizers climb."""
        return weighted_mean(fitness, self.weights)

    def scalar_stderr(self, stderrs: Sequence[float]) -> float:
        """Returns the standard error of the scalar, the objectives' errors being independent."""
        return math.hypot(*(w * e for w, e in zip(self.weights, stderrs, strict=True))) / math.fsum(
            self.weights
        )

    def in_own_units(self, fitness: Sequence[float] | None) -> list[float] | None:
        """Turns a point of fitness back into one of scores."""
        if fitness is None:
            return None
        return [objective.sign * value for objective, value in zip(self.each, fitness, strict=True)]


def weighted_mean(values: Sequence[float], weights: Sequence[float]) -> float:
    """Returns the mean of values under weights that need not sum to 1, summed without rounding error.

    Raises:
        ValueError: There are not equally many of both.
    """
    total = math.fsum(weights)
    return math.fsum(weight * value for weight, value in zip(weights, values, strict=True)) / total
