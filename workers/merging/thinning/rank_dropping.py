"""MagPrune: dropping at random, the smaller entries of a row rather than the larger.

Deep et al., "DELLA-Merging", arXiv 2406.11617, section 3.1.  Among the C entries of a row, ranked
r = 0 (smallest) ... C - 1 by magnitude, entry r is kept with probability

    p_r = density - epsilon + 2 epsilon r / (C - 1)

and with p = density where C is 1.  Rows run along the last dimension; a vector is one row.
"""

from __future__ import annotations

from torch import Tensor

from workers.errors import MergeError
from workers.merging.kernel import Ingredients
from workers.merging.thinning.sparsify import keep_at_random_by_rank


def drop_by_rank(delta: Tensor, ingredients: Ingredients, parent: int) -> Tensor:
    """Drops entries of a parent's task vector [...] by MagPrune, in place: a Sparsifier.

    Raises:
        MergeError: density - epsilon or density + epsilon is no probability between 0 and 1.
    """
    density = ingredients.per_parent["density"][parent]
    if density >= 1.0:
        return delta
    return keep_at_random_by_rank(
        delta, density, checked_epsilon(ingredients, parent), ingredients.seeds[parent]
    )


def checked_epsilon(ingredients: Ingredients, parent: int) -> float:
    """Returns a parent's epsilon.

    Raises:
        MergeError: density - epsilon or density + epsilon is no probability between 0 and 1.
    """
    density, epsilon = (ingredients.per_parent[name][parent] for name in ("density", "epsilon"))
    lowest, highest = density - epsilon, density + epsilon
    if not (0.0 < lowest < 1.0 and 0.0 < highest < 1.0):
        raise MergeError(
            "epsilon",
            f"epsilon {epsilon:g} around density {density:g} gives probabilities {lowest:g} to {highest:g}",
            f"keep both inside 0 to 1: use an epsilon below {min(density, 1.0 - density):g}",
        )
    return epsilon
