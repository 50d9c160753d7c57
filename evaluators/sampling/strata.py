"""Strata: items of one kind (label, subject, language ...), so that splits resemble each other.

An item's split is a matter of its content alone (see `evaluators.splits`); what is done here is to
leave out a few items of those kinds that chance has given a split too many of.  So an item never
changes from one split to another, whatever else is added to the data.  Pure: kinds in, positions out.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from evaluators.splits import content_of

Item = Mapping[str, object]
MOST_LEFT_OUT = 0.1  # of a split's items, for balance


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
