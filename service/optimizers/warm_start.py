"""A first distribution learned from what is known before the search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BEST_SHARE = 0.1  # gamma of Nomura et al.
PRIOR = 0.1  # alpha: how far around each of the best the next best may lie, as a share of the cube
FEWEST = 20  # known candidates, so that two or more are the best


def warm_distribution(
    positions: Sequence[NDArray[np.float64]], ranks: Sequence[tuple[float, float]], sigma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Returns mean and steps of the normal distribution that covers the best tenth of what is known.

    The mixture of a normal distribution around each of the best is replaced by the one with the same
    mean and, along each axis, the same variance (WS-CMA-ES: Nomura et al., AAAI 2021, eqs. 8 and 9).

    Args:
        positions: Points of the unit cube, each of shape [variables].
        ranks: The larger, the better.
        sigma: No step is larger.

    Returns:
        Two arrays of shape [variables], or None where too few are known to tell anything.
    """
    if len(positions) < FEWEST:
        return None
    order = sorted(range(len(ranks)), key=lambda i: ranks[i], reverse=True)
    best = np.array([positions[i] for i in order[: max(2, int(BEST_SHARE * len(order)))]])
    steps = np.sqrt(PRIOR**2 + best.var(axis=0))
    return best.mean(axis=0), np.minimum(steps, sigma)
