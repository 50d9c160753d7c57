"""Dropping at random: which entries go does not depend on what they are."""

from __future__ import annotations

from torch import Tensor

from workers.merging.kernel import Ingredients
from workers.merging.thinning.sparsify import keep_at_random


def drop_at_random(delta: Tensor, ingredients: Ingredients, parent: int) -> Tensor:
    """Keeps each entry of a parent's task vector [...] with probability `density`: a Sparsifier."""
    density = ingredients.per_parent["density"][parent]
    return delta if density >= 1.0 else keep_at_random(delta, density, ingredients.seeds[parent])
