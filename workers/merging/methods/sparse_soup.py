"""Sparse Model Soup: the average of pruned models, as sparse as they are.

Zimmer, Spiegel and Pokutta, "Sparse model soups", arXiv 2306.16788.

    m_i = [W_i != 0],   W = m . sum_i w_i W_i / sum_i w_i        (without `normalize`: undivided)

W_i, m_i, m [...] of one shape; w_i numbers.  `mask: shared` asks for m_i that are all the same; where
they differ, `union` keeps what any model kept, `intersection` what all of them kept.
"""

from __future__ import annotations

from torch import Tensor

from workers.errors import MergeError
from workers.merging.kernel import Ingredients
from workers.merging.methods.linear import linear


def sparse_soup(ingredients: Ingredients) -> Tensor:
    """Returns the masked average.

    Raises:
        MergeError: The masks differ and `mask` is `shared`, or the weights sum to zero and `normalize`
            is on.
    """
    policy = ingredients.choices.get("mask", "shared")
    first, *others = ingredients.parents
    mask = first != 0
    for number, other in enumerate(others, start=2):
        own = other != 0
        if policy == "shared":
            _check_same(mask, own, number)
        elif policy == "union":
            mask |= own
        else:
            mask &= own
    # A product, so that a NaN outside the mask still shows.
    return linear(ingredients) * mask


def _check_same(mask: Tensor, own: Tensor, number: int) -> None:
    differing = int((mask != own).sum())
    if differing:
        raise MergeError(
            "mask",
            f"parent {number} is not pruned like the first: {differing} of {mask.numel()} entries differ",
            "write mask: union or mask: intersection, or average models that were pruned alike",
        )
