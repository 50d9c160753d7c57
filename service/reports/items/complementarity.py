"""Which items each model solves: what parents share, what one of them alone can, what a merge keeps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from service.reports.items.item_tables import ItemTable

MOST_PATTERNS = 20
MOST_ITEMS = 40  # of those gained or lost that are listed


@dataclass(frozen=True, slots=True)
class Pattern:
    """Items that the same models solve, and no other."""

    solvers: tuple[bool, ...]
    count: int


@dataclass(frozen=True, slots=True)
class ListedItem:
    """One item, and who solves it; margins in nats where they are known."""

    item: int
    solvers: tuple[bool, ...]
    margins: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Complementarity:
    """One objective's items by who solves them.

    Attributes:
        numbers: The models: parents first, the merge last.
        solved: How many items each of them solves.
        patterns: By frequency; those without a solver come last.
        union: How many items at least one parent solves: what a perfect router between them would reach.
        unsolved: How many no model solves.
        gained: Items that the merge solves and no parent does; `gained_items` lists the first of them.
        lost: Items that a parent solves and the merge does not.
    """

    objective: str
    total: int
    numbers: tuple[int, ...]
    solved: tuple[int, ...]
    patterns: tuple[Pattern, ...]
    left_out: int
    union: int
    unsolved: int
    gained: int
    lost: int
    gained_items: tuple[ListedItem, ...]
    lost_items: tuple[ListedItem, ...]


def complementarity(table: ItemTable) -> Complementarity | None:
    """Returns an objective's items by who solves them; the last model is the merge.

    None for a metric that is not right or wrong on each item.
    """
    if not table.is_right_or_wrong or len(table.numbers) < 2:
        return None
    solved = table.solved
    counted = Counter(map(tuple, solved.T.tolist()))
    order = sorted(counted.items(), key=lambda found: (not any(found[0]), -found[1], found[0]))
    union, merge = solved[:-1].any(axis=0), solved[-1]
    gained, lost = merge & ~union, union & ~merge
    return Complementarity(
        objective=table.objective,
        total=solved.shape[1],
        numbers=table.numbers,
        solved=tuple(solved.sum(axis=1).tolist()),
        patterns=tuple(Pattern(solvers, count) for solvers, count in order[:MOST_PATTERNS]),
        left_out=max(len(order) - MOST_PATTERNS, 0),
        union=int(union.sum()),
        unsolved=int((~solved.any(axis=0)).sum()),
        gained=int(gained.sum()),
        lost=int(lost.sum()),
        gained_items=_listed(table, gained.nonzero()[0].tolist()),
        lost_items=_listed(table, lost.nonzero()[0].tolist()),
    )


def _listed(table: ItemTable, columns: list[int]) -> tuple[ListedItem, ...]:
    return tuple(
        ListedItem(
            int(table.items[column]),
            tuple(table.solved[:, column].tolist()),
            None if table.margins is None else tuple(table.margins[:, column].tolist()),
        )
        for column in columns[:MOST_ITEMS]
    )
