"""When a search will end, as a range: what the pace of the last candidates allows to say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from statistics import fmean, stdev

FEWEST = 8  # candidates that came back, from which a range means anything
Z = 1.2816  # of a normal distribution: four times in five the end lies inside


def time_left(times: Sequence[datetime], left: int) -> tuple[float, float] | None:
    """Returns the seconds between which the end lies four times in five; None where too little is known.

    The pause between two candidates varies: over those that are left it adds up, and its mean is itself
    known only as well as the last pauses tell.

    Args:
        times: When the last candidates were settled.
        left: How many are left.
    """
    if len(times) < FEWEST or left <= 0:
        return None
    pauses = [(later - sooner).total_seconds() for sooner, later in pairwise(sorted(times))]
    middle, spread = left * fmean(pauses), stdev(pauses) * math.sqrt(left + left**2 / len(pauses))
    return max(middle - Z * spread, 0.0), middle + Z * spread
