"""Items that the same candidates answer: one benchmark may ask for several skills."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST_GROUPS = 5
FEWEST_ITEMS = 12  # of a group, on average
ROUNDS = 6


def grouped(answers: Array) -> list[NDArray[np.intp]]:
    """Returns the places of items, group by group, none of them empty.

    K-means of the items' patterns (Lloyd, 1982), begun at the patterns that are farthest from each other
    (Gonzalez, 1985), so that nothing is drawn.

    Args:
        answers: How right each item is, 0 to 1, shape [candidates, items].
    """
    patterns = answers.T
    count = min(MOST_GROUPS, max(1, len(patterns) // FEWEST_ITEMS))
    centres = _apart(patterns, count)
    for _ in range(ROUNDS):
        nearest = _distances(patterns, centres).argmin(axis=1)
        centres = np.array([patterns[nearest == group].mean(axis=0) for group in np.unique(nearest)])
    nearest = _distances(patterns, centres).argmin(axis=1)
    return [np.flatnonzero(nearest == group) for group in np.unique(nearest)]


def _apart(patterns: Array, count: int) -> Array:
    """Returns patterns far from each other; the first is the one farthest from the mean."""
    chosen = [int(_distances(patterns, patterns.mean(axis=0, keepdims=True))[:, 0].argmax())]
    while len(chosen) < count:
        chosen.append(int(_distances(patterns, patterns[chosen]).min(axis=1).argmax()))
    return np.asarray(patterns[chosen])


def _distances(patterns: Array, centres: Array) -> Array:
    """Returns squared distances, rounded as linear algebra differs in its last bits, shape [items, G]."""
    squares = (patterns**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * patterns @ centres.T
    return np.asarray(np.round(squares, 9), dtype=np.float64)
