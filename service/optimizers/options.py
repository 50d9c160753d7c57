"""Settings that only one algorithm has, declared once and checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces.errors import SpaceError, UnknownNameError

OptionValue = float | int | str | bool


@dataclass(frozen=True, slots=True)
class Option:
    """One setting of an algorithm.

    Attributes:
        default: What holds where nothing is said; its type is the option's type.
        meaning: What it does, for people.
        low, high: Bounds of a number, both included.
        choices: What a word may be.
    """

    default: OptionValue
    meaning: str
    low: float = float("-inf")
    high: float = float("inf")
    choices: tuple[str, ...] = ()

    def checked(self, field: str, value: OptionValue) -> OptionValue:
        """Returns the value in the option's type.

        Raises:
            SpaceError: It is of another type or out of bounds.
        """
        if isinstance(self.default, bool):
            if isinstance(value, bool):
                return value
            raise SpaceError(field, f"{value!r} is neither true nor false", "use true or false")
        if isinstance(self.default, str):
            if value in self.choices:
                return value
            raise UnknownNameError(field, "setting", str(value), self.choices)
        return self._number(field, value)

    def _number(self, field: str, value: OptionValue) -> float | int:
        whole = isinstance(self.default, int)
        kind = "a whole number" if whole else "a number"
        remedy = f"use {kind} from {self.low:g} to {self.high:g}"
        if isinstance(value, (bool, str)) or (whole and value != int(value)):
            raise SpaceError(field, f"{value!r} is not {kind}", remedy)
        if not self.low <= value <= self.high:
            raise SpaceError(field, f"{value} is out of bounds", remedy)
        return int(value) if whole else float(value)


def checked_options(
    declared: Mapping[str, Option], given: Mapping[str, OptionValue]
) -> dict[str, OptionValue]:
    """Returns every declared option's value: the given one, or the default.

    Raises:
        SpaceError: A given one is unknown, of another type or out of bounds; the field is
            `optimizer.options.NAME`.
    """
    for name in given:
        if name not in declared:
            field = f"optimizer.options.{name}"
            if not declared:
                raise SpaceError(field, "this algorithm has no settings of its own", "leave it out")
            raise UnknownNameError(field, "setting", name, declared)
    return {
        name: option.checked(f"optimizer.options.{name}", given[name]) if name in given else option.default
        for name, option in declared.items()
    }
