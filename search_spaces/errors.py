"""Errors of the search spaces.

* SpaceError              what was asked for cannot be, and the message says what to do instead
  * UnknownNameError      a method, parameter or key nobody declared
  * RecipeError           a recipe that describes no model
  * SpaceDefinitionError  a search space that holds nothing or contradicts itself
  * NotInSpaceError       a recipe that no genome of the space decodes to
  * RecipeFileError       a recipe's text, with all its mistakes at once
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        line: Of the text it stands in, from 1, where that is known.
    """

    code = "invalid_space"
    line: int | None = None

    def __init__(self, field: str, detail: str, remedy: str) -> None:
        super().__init__(f"{field}: {detail}; {remedy}")
        self.field, self.detail, self.remedy = field, detail, remedy

    @property
    def placed(self) -> str:
        """The message with its line in front."""
        return str(self) if self.line is None else f"line {self.line}: {self}"

    def __reduce__(self) -> tuple[object, ...]:
        """Lets the error cross a process border unchanged."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[SpaceError], args: tuple[object, ...], state: dict[str, object]) -> SpaceError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


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


class RecipeFileError(SpaceError):
    """A recipe's text, with all its mistakes at once.

    Attributes:
        problems: One error per mistake, in the file's order; their fields are paths in the file.
    """

    code = "invalid_recipe_file"

    def __init__(self, problems: Sequence[SpaceError]) -> None:
        self.problems = tuple(problems)
        many = f"{len(self.problems)} mistakes" if len(self.problems) != 1 else "a mistake"
        listed = "\n".join(f"- {problem.placed}" for problem in self.problems)
        super().__init__("recipe", f"it has {many}:\n{listed}", "mend the file")
        self.args = (f"the recipe has {many}:\n{listed}",)
