"""What a user writes to say what candidates are measured by, and what they must keep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from search_spaces import Parent

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Spec(BaseModel):
    """A part of the spec: unknown keys are refused, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Measure(Spec):
    """A property that places candidates in an archive; it is not improved.

    Attributes:
        kind: `score` (of an objective), `share` (of a parent in the mixture), `depth` (layers),
            `parameters`, or `output_length` (an objective that counts what the model says).
        low, high: The archive's range in the property's own unit.
        cells: How many parts the range is cut into.
    """

    kind: Literal["score", "share", "depth", "parameters", "output_length"]
    objective: Name | None = None
    parent: Parent | None = None
    name: Name | None = None
    low: float
    high: float
    cells: Annotated[int, Field(ge=1, le=1000)] = 10

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low >= self.high:
            raise ValueError(
                f"the range from {self.low:g} to {self.high:g} holds nothing; put the lower first"
            )
        check_subject(self.kind, self.objective, self.parent)
        return self

    @property
    def label(self) -> str:
        """The name under which it appears."""
        return self.name or _subject(self.kind, self.objective, self.parent)


class Constraint(Spec):
    """A bound that candidates must keep; those that break it rank behind all that do not.

    Attributes:
        kind: As of a measure.
        not_below: `best_parent` bounds a score by the best parent's, whichever direction is worse.
        standard_errors: By how many of its standard errors a score may be worse than that.
        at_least, at_most: Bounds in the property's own unit.
    """

    kind: Literal["score", "share", "depth", "parameters", "output_length"] = "score"
    objective: Name | None = None
    parent: Parent | None = None
    not_below: Literal["best_parent"] | None = None
    standard_errors: Annotated[float, Field(ge=0)] = 0.0
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_subject(self.kind, self.objective, self.parent)
        if self.not_below is None and self.at_least is None and self.at_most is None:
            raise ValueError("it bounds nothing; give not_below, at_least or at_most")
        if self.not_below is not None and self.kind not in ("score", "output_length"):
            raise ValueError(f"a {self.kind} has no best parent; use at_least or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            detail = f"nothing is at least {self.at_least:g} and at most {self.at_most:g}"
            raise ValueError(f"{detail}; put the lower bound into at_least")
        return self


def check_subject(kind: str, objective: str | None, parent: Parent | None) -> None:
    """Refuses a measure or constraint that does not say of what, or says too much."""
    needs_objective, needs_parent = kind in ("score", "output_length"), kind == "share"
    if needs_objective != (objective is not None):
        raise ValueError(
            f"{kind} of which objective is not said; name one of the objectives"
            if needs_objective
            else f"a {kind} has no objective; leave objective out"
        )
    if needs_parent != (parent is not None):
        raise ValueError(
            "the share of which parent is not said; name one of the parents"
            if needs_parent
            else f"a {kind} has no parent; leave parent out"
        )


def _subject(kind: str, objective: str | None, parent: Parent | None) -> str:
    """Returns what a measure or constraint is of, in words: `depth`, `score: math`."""
    of = objective if objective is not None else (label_of(parent) if parent is not None else None)
    return kind if of is None else f"{kind}: {of}"


def label_of(parent: Parent) -> str:
    """Returns a parent's short name: the last part of its path, with its revision."""
    name = Path(parent.model).name or parent.model
    return name if parent.revision is None else f"{name}@{parent.revision[:7]}"
