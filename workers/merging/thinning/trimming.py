"""Trimming: the smallest entries of a task vector are dropped, counted per tensor, per row or globally.

* `tensor`: the floor(density * N) largest entries of the tensor are kept, at least one (mergekit 0.1.5).
* `row`: as many of every row (last dimension); a vector is one row.
* `global`: one threshold per parent for all tensors: the magnitude whose rank, counted from 0 at the
  largest, is floor(density * D) among the D entries of the parent's task vector; whatever is at least
  as large is kept, so one entry more than that and all its equals (the code of Yadav et al.,
  arXiv 2306.01708, ranks so).
"""

from __future__ import annotations

from torch import Tensor

from workers.merging.kernel import Ingredients
from workers.merging.thinning.global_thresholds import band_of
from workers.merging.thinning.sparsify import keep_between, keep_largest


def trim(delta: Tensor, ingredients: Ingredients, parent: int) -> Tensor:
    """Drops the smallest entries of a parent's task vector [...], in place: a Sparsifier."""
    density = ingredients.per_parent["density"][parent]
    if density >= 1.0:
        return delta
    granularity = ingredients.choices["granularity"]
    if granularity == "global":
        return keep_between(delta, *band_of(ingredients, parent))
    return keep_largest(delta, density, by_row=granularity == "row")


def trimming_ranks(count: int, density: float) -> tuple[int, int]:
    """Returns the first and the last rank that are kept of `count` entries trimmed globally."""
    return 0, min(int(density * count), count - 1)
