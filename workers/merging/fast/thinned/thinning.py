"""Which entries of a task vector each method keeps, as the fast passes want to be told.

The sparsifiers of the kernels (`trimming`, `outliers`, `random_dropping`, `rank_dropping`, ...) are the
definition; here the same ranks and probabilities become limits of a pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from workers.merging.fast.selection.selection_masks import BEYOND, Criterion, SelectionMask
from workers.merging.kernel import Ingredients
from workers.merging.thinning.counter_random import seed_words
from workers.merging.thinning.global_thresholds import band_of
from workers.merging.thinning.outliers import middle_ranks
from workers.merging.thinning.rank_dropping import checked_epsilon
from workers.merging.thinning.sparsify import random_code, share_of

if TYPE_CHECKING:  # statistics bring the compiled loops with them
    from workers.merging.fast.statistics.tensor_statistics import TensorStatistics


class Thin(Protocol):
    """A method's way of thinning."""

    def __call__(
        self, ingredients: Ingredients, statistics: TensorStatistics, parent: int, /
    ) -> SelectionMask:
        """Returns which entries of a task vector are kept, given its parent's number."""
        ...


def trimmed(ingredients: Ingredients, statistics: TensorStatistics, parent: int) -> SelectionMask:
    """Keeps what `trimming.trim` keeps."""
    density = ingredients.per_parent["density"][parent]
    if density >= 1.0:
        return SelectionMask(Criterion.BY_MAGNITUDE)
    if ingredients.choices["granularity"] == "global":
        return _between(*band_of(ingredients, parent))
    return _ranks(statistics, parent, 0, max(1, share_of(statistics.count, density)))


def middle(ingredients: Ingredients, statistics: TensorStatistics, parent: int) -> SelectionMask:
    """Keeps what `outliers.keep_middle` keeps."""
    if ingredients.choices["granularity"] == "global":
        return _between(*band_of(ingredients, parent))
    first, stop = middle_ranks(
        statistics.count,
        ingredients.per_parent["density"][parent],
        ingredients.per_parent["gamma"][parent],
        keep_first=ingredients.choices["order"] == "keep_first",
        fill_up=True,
    )
    return _ranks(statistics, parent, first, stop)


def largest_of_all(ingredients: Ingredients, _facts: TensorStatistics, parent: int) -> SelectionMask:
    """Keeps what `grafting` keeps."""
    return _between(*band_of(ingredients, parent))


def by_chance(ingredients: Ingredients, _facts: TensorStatistics, parent: int) -> SelectionMask:
    """Keeps what `random_dropping.drop_at_random` keeps."""
    density = ingredients.per_parent["density"][parent]
    if density >= 1.0:
        return SelectionMask(Criterion.BY_MAGNITUDE)
    return SelectionMask(
        Criterion.AT_RANDOM, code=random_code(density), seed=seed_words(ingredients.seeds[parent])
    )


def by_rank_and_chance(ingredients: Ingredients, statistics: TensorStatistics, parent: int) -> SelectionMask:
    """Keeps what `rank_dropping.drop_by_rank` keeps."""
    density = ingredients.per_parent["density"][parent]
    if density >= 1.0:
        return SelectionMask(Criterion.BY_MAGNITUDE)
    epsilon = checked_epsilon(ingredients, parent)
    return SelectionMask(Criterion.BY_KEY, code=random_code(density), keys=statistics.keys(parent, epsilon))


def dropped(ingredients: Ingredients, statistics: TensorStatistics, parent: int) -> SelectionMask:
    """Keeps what `dare` keeps: at random, or all but the smallest."""
    if ingredients.choices["drop"] == "random":
        return by_chance(ingredients, statistics, parent)
    count = share_of(statistics.count, round(1.0 - ingredients.per_parent["density"][parent], 12))
    if count <= 0:
        return SelectionMask(Criterion.BY_MAGNITUDE)
    rank = statistics.count - min(count, statistics.count)
    level = statistics.level(parent, rank)
    return SelectionMask(Criterion.BY_MAGNITUDE, least=(level.bits + 1, BEYOND))


def _ranks(statistics: TensorStatistics, parent: int, first: int, stop: int) -> SelectionMask:
    """Keeps the ranks [first, stop); rank 0 is the largest, among equals the first in memory."""
    first, stop = max(first, 0), min(stop, statistics.count)
    if stop <= first:
        return SelectionMask(Criterion.BY_MAGNITUDE, least=(BEYOND, BEYOND))
    if (first, stop) == (0, statistics.count):
        return SelectionMask(Criterion.BY_MAGNITUDE)
    least = statistics.limit(parent, stop - 1)
    if not first:
        return SelectionMask(Criterion.BY_MAGNITUDE, least)
    return SelectionMask(Criterion.BY_MAGNITUDE, least, statistics.limit(parent, first - 1))


def _between(low: float, high: float) -> SelectionMask:
    """Keeps the magnitudes low ... high, both included."""
    if low <= 0.0 and math.isinf(high):
        return SelectionMask(Criterion.BY_MAGNITUDE)
    least, most = (int(np.float32(bound).view(np.uint32)) for bound in (low, high))
    return SelectionMask(Criterion.BY_MAGNITUDE, (least, BEYOND), (most, 0))


THINNING: Mapping[str, Thin] = {
    "ties": trimmed,
    "breadcrumbs": middle,
    "breadcrumbs_ties": middle,
    "dare_linear": by_chance,
    "dare_ties": by_chance,
    "dare": dropped,
    "della": by_rank_and_chance,
    "della_linear": by_rank_and_chance,
    "grafting": largest_of_all,
}
"""The methods that a pass over thinned task vectors makes."""
