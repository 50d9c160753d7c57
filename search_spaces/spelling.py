"""Tells a misspelt name from one that simply means nothing here."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

_ALIKE = 0.74  # of difflib's ratio: `params` is `parameters`, `model_name` is not `models`
_LONG = 5  # letters from which on two slips are forgiven


def meant(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name that another is a misspelling of, None where it is of none.

    Case and hyphens do not count; then one slip is a misspelling, two in longer names, or much in common.
    """
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    nearest = min(known, key=lambda each: _distance(plain, each), default=None)
    if nearest is None:
        return None
    slips = _distance(plain, nearest)
    shorter = min(len(plain), len(nearest))
    if slips <= (2 if shorter >= _LONG else 1 if shorter > 1 else 0):
        return nearest
    closest = max(known, key=lambda each: SequenceMatcher(None, plain, each).ratio())
    return closest if SequenceMatcher(None, plain, closest).ratio() >= _ALIKE else None


def _distance(first: str, second: str) -> int:
    """Returns how many letters must be put in, left out, replaced or swapped with their neighbour."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        last, before_last, row = row, before, [i]
        for j, b in enumerate(second, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                best = min(best, before_last[j - 2] + 1)
            row.append(best)
        before = last
    return row[-1]
