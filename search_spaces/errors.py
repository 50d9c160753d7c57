"""Errors of the search spaces.

* SpaceError              what was asked for cannot be, and the message says what to do instead
  * UnknownNameError      a method, parameter or key nobody declared
  * RecipeError           a recipe that describes no model
  * SpaceDefinitionError  a search space that holds nothing or contradicts itself
  * NotInSpaceError       a recipe that no genome of the space decodes to
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """Returns a remedy for a misspelt name: the nearest known one, or all of them."""
    names = sorted(known)
    near = get_close_matches(value, names, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(names)}"


class SpaceError(ValueError):
    """What was asked for cannot be.

    Attributes:
        field: Where it stands, as a dotted path (`parameters.density`).
        detail: What is wrong, with the value.
        remedy: What to do.
    """

    code = "invalid_space"

    def __init__(self, field: str, detail: str, remedy: str) -> None:
        super().__init__(f"{field}: {detail}; {remedy}")
        self.field, self.detail, self.remedy = field, detail, remedy


class UnknownNameError(SpaceError):
    """A name that nobody declared."""

    code = "unknown_name"

    def __init__(self, field: str, kind: str, value: str, known: Iterable[str]) -> None:
        self.allowed = tuple(sorted(known))
        super().__init__(field, f"unknown {kind} {value!r}", did_you_mean(value, self.allowed))


class RecipeError(SpaceError):
    """A recipe that describes no model."""

    code = "invalid_recipe"


class SpaceDefinitionError(SpaceError):
    """A search space that holds nothing or contradicts itself."""


class NotInSpaceError(SpaceError):
    """A recipe that no genome of the space decodes to."""

    code = "not_in_space"
