"""Which entries of a task vector each method keeps, as the fast passes want to be told.

The sparsifiers of the kernels (`trimming`, `outliers`, `random_dropping`, `rank_dropping`, ...) are the
definition; here the same ranks and probabilities become limits of a pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from workers.merging.fast.kept import BEYOND, Kept, Kind
from workers.merging.kernel import Ingredients
from workers.merging.thinning.counter_random import seed_words
from workers.merging.thinning.global_thresholds import band_of
from workers.merging.thinning.outliers import middle_ranks
from workers.merging.thinning.rank_dropping import checked_epsilon
from workers.merging.thinning.sparsify import random_code, share_of

if TYPE_CHECKING:  # facts bring the compiled loops with them
    from workers.merging.fast.facts import Facts


class Thin(Protocol):
    """A method's way of thinning."""

    def __call__(self, ingredients: Ingredients, facts: Facts, parent: int, /) -> Kept:
        """Returns which entries of a task vector are kept, given its parent's number."""
        ...


def trimmed(ingredients: Ingredients, facts: Facts, parent: int) -> Kept:
    """Keeps what `trimming.trim` keeps."""
    density = ingredients.per_parent["density"][parent]
    if density >= 1.0:
        return Kept(Kind.BY_MAGNITUDE)
    if ingredients.choices["granularity"] == "global":
        return _between(*band_of(ingredients, parent))
    return _ranks(facts, parent, 0, max(1, share_of(facts.count, density)))


def middle(ingredients: Ingredients, facts: Facts, parent: int) -> Kept:
    """Keeps what `outliers.keep_middle` keeps."""
    if ingredients.choices["granularity"] == "global":
        return _between(*band_of(ingredients, parent))
    first, stop = middle_ranks(
        facts.count,
        ingredients.per_parent["density"][parent],
        ingredients.per_parent["gamma"][parent],
        keep_first=ingredients.choices["order"] == "keep_first",
        fill_up=True,
    )
    return _ranks(facts, parent, first, stop)


def largest_of_all(ingredients: Ingredients, _facts: Facts, parent: int) -> Kept:
    """Keeps what `grafting` keeps."""
    return _between(*band_of(ingredients, parent))


def by_chance(ingredients: Ingredients, _facts: Facts, parent: int) -> Kept:
    """Keeps what `random_dropping.drop_at_random` keeps."""
    density = ingredients.per_parent["density"][parent]
    if density >= 1.0:
        return Kept(Kind.BY_MAGNITUDE)
    return Kept(Kind.AT_RANDOM, code=random_code(density), seed=seed_words(ingredients.seeds[parent]))


def by_rank_and_chance(ingredients: Ingredients, facts: Facts, parent: int) -> Kept:
    """Keeps what `rank_dropping.drop_by_rank` keeps."""
    density = ingredients.per_parent["density"][parent]
    if density >= 1.0:
        return Kept(Kind.BY_MAGNITUDE)
    epsilon = checked_epsilon(ingredients, parent)
    return Kept(Kind.BY_KEY, code=random_code(density), keys=facts.keys(parent, epsilon))


def dropped(ingredients: Ingredients, facts: Facts, parent: int) -> Kept:
    """Keeps what `dare` keeps: at random, or all but the smallest."""
    if ingredients.choices["drop"] == "random":
        return by_chance(ingredients, facts, parent)
    count = share_of(facts.count, round(1.0 - ingredients.per_parent["density"][parent], 12))
    if count <= 0:
        return Kept(Kind.BY_MAGNITUDE)
    rank = facts.count - min(count, facts.count)
    level = facts.levels(parent, (rank,))[rank]
    return Kept(Kind.BY_MAGNITUDE, least=(level.bits + 1, BEYOND))


def _ranks(facts: Facts, parent: int, first: int, stop: int) -> Kept:
    """Keeps the ranks [first, stop); rank 0 is the largest, among equals the first in memory."""
    first, stop = max(first, 0), min(stop, facts.count)
    if stop <= first:
        return Kept(Kind.BY_MAGNITUDE, least=(BEYOND, BEYOND))
    if (first, stop) == (0, facts.count):
        return Kept(Kind.BY_MAGNITUDE)
    levels = facts.levels(parent, (stop - 1, first - 1) if first else (stop - 1,))
    least = (levels[stop - 1].bits, facts.place_after(parent, levels[stop - 1], stop - 1))
    if not first:
        return Kept(Kind.BY_MAGNITUDE, least)
    lost = levels[first - 1]
    return Kept(Kind.BY_MAGNITUDE, least, (lost.bits, facts.place_after(parent, lost, first - 1)))


def _between(low: float, high: float) -> Kept:
    """Keeps the magnitudes low ... high, both included."""
    if low <= 0.0 and math.isinf(high):
        return Kept(Kind.BY_MAGNITUDE)
    least, most = (int(np.float32(bound).view(np.uint32)) for bound in (low, high))
    return Kept(Kind.BY_MAGNITUDE, (least, BEYOND), (most, 0))


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
