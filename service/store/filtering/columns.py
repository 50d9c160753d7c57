"""Filters and orders over columns: what was written becomes SQL, with values bound and fields from a list."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from sqlalchemy import ColumnElement, Text, and_, cast, not_, or_

from search_spaces.errors import did_you_mean
from service.store.filtering.grammar import Comparison, Filter, Junction, Negation, invalid

Kind = Literal["number", "text", "truth", "time", "list"]
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt,
    "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_TRUTHS = {"true": True, "false": False}
_LARGEST = 2**53


@dataclass(frozen=True, slots=True)
class Field:
    """A column, or what is computed of columns, that people may name.

    Attributes:
        expression: What is compared, and what is sorted by.
        kind: What it may be compared with.
        known: The values that there are, where that is known.
        sorted_by: May stand in `order_by`.
    """

    expression: ColumnElement[Any]
    kind: Kind = "text"
    known: type[StrEnum] | None = None
    sorted_by: bool = True


FieldNamed = Callable[[str], Field]
"""Returns a field by its name, or raises the refusal of one that there is not."""


def condition(found: Filter, named: FieldNamed) -> ColumnElement[bool]:
    """Returns a filter as SQL; what has no value fulfils no comparison.

    Raises:
        InvalidSpecError: It names an unknown field, or compares one with what it cannot be.
    """
    if isinstance(found, Negation):
        return not_(condition(found.part, named))
    if isinstance(found, Junction):
        join = and_ if found.kind == "AND" else or_
        return join(*(condition(part, named) for part in found.parts))
    return _comparison(found, named(found.field))


def no_such_field(name: str, known: list[str], *, pointer: str = "/query/filter") -> Exception:
    """Returns the refusal of a field that there is not."""
    listed = ", ".join(known[:40])
    return invalid(
        f"there is no field {name!r}", f"{did_you_mean(name, known)}; there are {listed}", pointer=pointer
    )


def _comparison(found: Comparison, field: Field) -> ColumnElement[bool]:
    column, value = field.expression, found.value
    if found.operator == ":":
        if field.kind == "list":
            # JSON as the database keeps it: a list's text holds its members as JSON writes them.
            return cast(column, Text).contains(json.dumps(value), autoescape=True)
        return cast(column, Text).icontains(value, autoescape=True)
    if field.kind in ("list", "truth") and found.operator not in ("=", "!="):
        raise invalid(f"{found.field} cannot be compared by {found.operator}", "use = or :")
    if field.kind == "list":
        raise invalid(f"{found.field} is a list", f'write {found.field}:"{value}"')
    made: ColumnElement[bool] = _COMPARE[found.operator](column, _value(found, field))
    return and_(column.is_not(None), made)


def _value(found: Comparison, field: Field) -> object:
    value = found.value
    if field.kind == "truth":
        if value.lower() not in _TRUTHS:
            raise invalid(f"{found.field} is compared with {value!r}", "write true or false")
        return _TRUTHS[value.lower()]
    if field.kind == "number":
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not abs(number) <= _LARGEST:
            raise invalid(f"{found.field} is compared with {value!r}", "write a number")
        return number
    if field.kind == "time":
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise invalid(
                f"{found.field} is compared with {value!r}", "write a time as 2026-11-29T12:00:00Z"
            ) from error
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    if field.known is not None:
        names = [member.value for member in field.known]
        if value.lower() not in names:
            raise invalid(f"{found.field} is never {value!r}", f"use one of {', '.join(names)}")
        return field.known(value.lower())
    return value
