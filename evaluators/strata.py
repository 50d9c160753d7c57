"""Strata: items of one kind (label, subject, language ...), so that splits resemble each other.

An item's split is a matter of its content alone (see `evaluators.splits`); what is done here is to
leave out a few items of those kinds that chance has given a split too many of.  So an item never
changes from one split to another, whatever else is added to the data.

Here "task" is lm-eval's word.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from evaluators.errors import EvaluationError
from evaluators.splits import content_of
from evaluators.task_questions import Item, Subtask, Task

COLUMNS = ("subtask", "subject", "category", "topic", "level", "language", "label")
MOST_LEFT_OUT = 0.1  # of a split's items, for balance
_FEWEST = 10  # items of a kind on average; more kinds than that are no kinds but different answers


def kinds_of(task: Task, items: Sequence[Item]) -> list[str] | None:
    """Returns each item's kind: its subject or label, else its answer; None where they have no kinds."""
    for column in COLUMNS:
        if all(isinstance(item, Mapping) and column in item for item in items):
            kinds = [str(item[column]) for item in items]
            if _are_kinds(kinds):
                return kinds
    if isinstance(task.config.doc_to_choice, str):  # every item has its own choices, whose places say nothing
        return None
    asked = Subtask(task, {})
    try:
        answers = [asked.target_of(item) for item in items]
    except EvaluationError:  # its items have no answers of one form: that is no mistake here
        return None
    kinds = [str(answer) for answer in answers]
    return kinds if _are_kinds(kinds) else None


def balanced(kinds: Sequence[str], chosen: Sequence[int], items: Sequence[Item], *, seed: int) -> list[int]:
    """Returns the chosen positions without those that are too many of a kind; at least nine tenths.

    Args:
        kinds: Of all items.
        chosen: Positions of a split's items, growing.
        items: All items.
        seed: Of the splits.
    """
    shares = {kind: count / len(kinds) for kind, count in Counter(kinds).items()}
    have = Counter(kinds[position] for position in chosen)
    for size in range(len(chosen)):  # the smallest balanced size that leaves out few enough
        kept = {kind: min(count, math.ceil(shares[kind] * size)) for kind, count in have.items()}
        if sum(kept.values()) >= (1.0 - MOST_LEFT_OUT) * len(chosen):
            return _first_of_each(kinds, chosen, items, kept, seed)
    return list(chosen)


def limited(kinds: Sequence[str] | None, most: int) -> list[int]:
    """Returns `most` positions, of each kind as large a share as it has; the first ones of each kind."""
    if kinds is None or most >= len(kinds):
        return list(range(min(most, len(kinds) if kinds is not None else most)))
    counts = Counter(kinds)
    exact = {kind: count * most / len(kinds) for kind, count in counts.items()}
    kept = {kind: math.floor(share) for kind, share in exact.items()}
    order = list(counts)
    rest = sorted(order, key=lambda kind: (kept[kind] - exact[kind], order.index(kind)))
    for kind in rest[: most - sum(kept.values())]:
        kept[kind] += 1
    found = []
    for position, kind in enumerate(kinds):
        if kept[kind]:
            kept[kind] -= 1
            found.append(position)
    return found


def _first_of_each(
    kinds: Sequence[str], chosen: Sequence[int], items: Sequence[Item], kept: Mapping[str, int], seed: int
) -> list[int]:
    """Keeps, of each kind, those whose hash comes first: which ones does not depend on the data's order."""
    left = dict(kept)
    found = []
    for position in sorted(chosen, key=lambda position: _rank(items[position], seed)):
        if left[kinds[position]]:
            left[kinds[position]] -= 1
            found.append(position)
    return sorted(found)


def _rank(item: Item, seed: int) -> bytes:
    return hashlib.sha256(f"stratum\n{seed}\n{content_of(item)}".encode()).digest()


def _are_kinds(kinds: Sequence[str]) -> bool:
    return 2 <= len(set(kinds)) <= len(kinds) / _FEWEST
