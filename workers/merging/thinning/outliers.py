"""Masks of Model Breadcrumbs: the largest and the smallest entries are dropped, the middle is kept.

Davari and Belilovsky, "Model Breadcrumbs", arXiv 2312.06795.  Of N entries, ranked by magnitude from the
largest, g = floor(gamma N) outliers are dropped and t = floor(density N) entries kept:

* `order: remove_first` keeps the t entries after the outliers: ranks [g, g + t);
* `order: keep_first` drops the outliers among the t largest: ranks [g, t).

Where fewer than t entries are left beside the outliers, `granularity: row` keeps them (the paper's
code), while `tensor` and `global` drop fewer outliers, so that t entries are kept (mergekit 0.1.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from workers.errors import MergeError
from workers.merging.kernel import Ingredients, Portion, Survey
from workers.merging.thinning.global_thresholds import GlobalFindings, band_of, find_bands, global_portions
from workers.merging.thinning.sparsify import keep_between, keep_ranks, rows_of, share_of


def keep_middle(delta: Tensor, ingredients: Ingredients, parent: int) -> Tensor:
    """Drops the outliers and the smallest entries of a parent's task vector, in place: a Sparsifier."""
    granularity, order = ingredients.choices["granularity"], ingredients.choices["order"]
    if granularity == "global":
        return keep_between(delta, *band_of(ingredients, parent))
    by_row = granularity == "row"
    first, stop = middle_ranks(
        rows_of(delta).shape[1] if by_row else delta.numel(),
        ingredients.per_parent["density"][parent],
        ingredients.per_parent["gamma"][parent],
        keep_first=order == "keep_first",
        fill_up=not by_row,
    )
    return keep_ranks(delta, first, stop, by_row=by_row)


def middle_ranks(
    count: int, density: float, gamma: float, *, keep_first: bool, fill_up: bool
) -> tuple[int, int]:
    """Returns the ranks [first, stop) that are kept of `count` entries; none where stop <= first."""
    outliers, kept = share_of(count, gamma), share_of(count, density)
    if keep_first:
        return outliers, kept
    if fill_up:
        outliers = min(outliers, count - kept)
    return outliers, min(outliers + kept, count)


def _look(portions: Sequence[Portion]) -> GlobalFindings | None:
    """Finds every parent's band of magnitudes.

    Raises:
        MergeError: The numbers or the order differ between tensors.
    """
    ranked = global_portions(portions)
    if not ranked:
        return None
    orders = {portion.choices["order"]: portion.name for portion in ranked}
    if len(orders) > 1:
        detail = "one band over all tensors takes one order, but " + " and ".join(
            f"{name} has {order}" for order, name in orders.items()
        )
        raise MergeError("order", detail, "write order as one word, without filters")
    keep_first = "keep_first" in orders

    def ranks(count: int, values: Mapping[str, float]) -> tuple[int, int]:
        first, stop = middle_ranks(
            count, values["density"], values["gamma"], keep_first=keep_first, fill_up=True
        )
        return first, stop - 1

    return GlobalFindings(find_bands(ranked, ("density", "gamma"), ranks))


SURVEY = Survey(_look, ("granularity", "order", "density", "gamma"))
