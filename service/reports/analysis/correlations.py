"""How objectives go together over the candidates: Spearman's rank correlation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

FEWEST = 8  # candidates from which a correlation means anything


def correlations(fitness: NDArray[np.float64]) -> list[list[float | None]]:
    """Returns the (m, m) correlations of (n, m) fitness; None where an objective never varies.

    Empty where there are too few candidates.
    """
    if len(fitness) < FEWEST:
        return []
    ranks = rankdata(fitness, axis=0)
    varies = ranks.std(axis=0) > 0
    count = fitness.shape[1]
    found: list[list[float | None]] = [[None] * count for _ in range(count)]
    for row in range(count):
        for column in range(count):
            if varies[row] and varies[column]:
                found[row][column] = float(np.corrcoef(ranks[:, row], ranks[:, column])[0, 1])
    return found
