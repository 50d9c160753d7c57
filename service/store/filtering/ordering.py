"""Orders that people write (`objectives.gsm8k desc`), and pages that go on where the last one ended.

A page begins after the value and the key of the last row of the one before, so that rows that are added
meanwhile shift nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_

from service.store.filtering.columns import Field, FieldNamed
from service.store.filtering.grammar import invalid

POINTER = "/query/order_by"


@dataclass(frozen=True, slots=True)
class Ordering:
    """By which field rows are sorted; those without a value come last, equal ones by their key."""

    field: Field
    descending: bool


def parse_order(text: str, named: FieldNamed) -> Ordering:
    """Returns the order that a text says.

    Raises:
        InvalidSpecError: It names no field, or one that nothing can be sorted by.
    """
    words = text.split()
    if len(words) not in (1, 2) or words[1:] not in ([], ["asc"], ["desc"]):
        hint = "write a field, and `desc` after it for the largest first"
        raise invalid(f"{text!r} is no order", hint, pointer=POINTER)
    field = named(words[0])
    if not field.sorted_by:
        raise invalid(f"nothing can be sorted by {words[0]}", "name another field", pointer=POINTER)
    return Ordering(field, words[1:] == ["desc"])


def sorted_page(
    query: Select[Any], order: Ordering, key: ColumnElement[Any], *, after: tuple[Any, Any] | None
) -> Select[Any]:
    """Returns the query in this order, from after a row on.

    Args:
        query: Of the rows.
        order: In which they are wanted.
        key: Tells equal ones apart; ascending.
        after: The value and the key of the last row of the page before; None for the first page.
    """
    value = order.field.expression
    if after is not None:
        last, last_key = after
        if order.field.kind == "time" and isinstance(last, str):
            last = datetime.fromisoformat(last)
        if last is None:
            query = query.where(value.is_(None), key > last_key)
        else:
            beyond = value < last if order.descending else value > last
            query = query.where(or_(beyond, and_(value == last, key > last_key), value.is_(None)))
    return query.order_by(value.is_(None), value.desc() if order.descending else value.asc(), key)


def token_text(value: Any, key: Any) -> str:  # noqa: ANN401 - a column's
    """Returns what a token holds of the last row of a page."""
    plain = value if isinstance(value, int | float | str | None) else str(value)
    return json.dumps([plain, key if isinstance(key, int) else str(key)])


def read_token(text: str) -> tuple[Any, Any] | None:
    """Returns the value and the key that a token holds; None where it holds none."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    fits = isinstance(found, list) and len(found) == 2
    scalar = (int, float, str, type(None))
    return (found[0], found[1]) if fits and all(isinstance(each, scalar) for each in found) else None
