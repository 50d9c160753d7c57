"""Invariant: what must hold of the rows of any database, and the query that finds what breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect, Executable
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import SelectBase

Row = dict[str, Any]
Search = Callable[..., Any]
MOST_ROWS = 20  # that are shown of what breaks an invariant


@dataclass(frozen=True, slots=True)
class Invariant:
    """Something that must hold of a database at any moment, whatever was killed when.

    Attributes:
        id: Its number, `I1` to `I24`.
        name: Two or three words.
        sentence: What must hold.
        queries: Each returns the rows that break it; a function where SQL alone cannot say.
        elsewhere: What proves it where rows cannot, or cannot alone.
    """

    id: str
    name: str
    sentence: str
    queries: tuple[Executable | Search, ...] = ()
    elsewhere: str = ""

    def sql(self, dialect: Dialect) -> list[str]:
        """Returns the queries as a database of this kind gets them; of a function its first line."""
        return [
            str(query.compile(dialect=dialect))
            if isinstance(query, SelectBase)
            else (query.__doc__ or "").splitlines()[0]
            for query in self.queries
        ]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What looking for rows that break an invariant has shown.

    Attributes:
        rows: The first of them, at most `MOST_ROWS`.
        count: How many there are.
    """

    invariant: Invariant
    rows: tuple[Row, ...]
    count: int

    @property
    def holds(self) -> bool:
        """Says that nothing breaks it."""
        return self.count == 0


def judge(invariant: Invariant, session: Session) -> Verdict:
    """Returns what the invariant's queries find."""
    rows: list[Row] = []
    count = 0
    for query in invariant.queries:
        found = session.execute(query).mappings() if isinstance(query, Executable) else query(session)
        for row in found:
            count += 1
            if len(rows) < MOST_ROWS:
                rows.append(dict(row))
    return Verdict(invariant, tuple(rows), count)
