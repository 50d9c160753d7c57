"""DARE as published: drop entries of the task vectors, divide the rest by the density, add.

Yu et al., "Language models are super Mario", arXiv 2311.03099, section 3.2.  With the drop rate
p_i = 1 - density_i,

    d_i = (1 - b_i) (W_i - W_0) / (1 - p_i)        (without `rescale`: undivided)
    W   = W_0 + lambda sum_i w_i d_i

W_0, W_i, b_i [...] of one shape; w_i, density_i, lambda numbers.  `drop: random` draws
b_i ~ Bernoulli(p_i) elementwise; `drop: magnitude` drops the floor(p_i N) entries of smallest magnitude
and all that are equal to the largest of them (the paper's code).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from workers.merging.arithmetic.task_vectors import Sparsifier, add_task_vectors
from workers.merging.kernel import Ingredients
from workers.merging.thinning.random_dropping import drop_at_random
from workers.merging.thinning.sparsify import drop_smallest, share_of


def dare(ingredients: Ingredients) -> Tensor:
    """Returns the base plus the weighted sum of the task vectors, thinned out and rescaled."""
    return dare_with(ingredients, _DROPS[ingredients.choices["drop"]])


def dare_with(ingredients: Ingredients, drop: Sparsifier) -> Tensor:
    """Returns what `dare` does, with entries dropped by this function."""
    rescaled = bool(ingredients.shared["rescale"])

    def thinned(delta: Tensor, source: Ingredients, parent: int) -> Tensor:
        delta = drop(delta, source, parent)
        return delta.div_(source.per_parent["density"][parent]) if rescaled else delta

    return add_task_vectors(ingredients, thinned)


def _drop_smallest(delta: Tensor, ingredients: Ingredients, parent: int) -> Tensor:
    # 1 - 0.9 is not 0.1 in float64: the rate as a person would write it counts as the code counts.
    rate = round(1.0 - ingredients.per_parent["density"][parent], 12)
    return drop_smallest(delta, share_of(delta.numel(), rate))


_DROPS: Mapping[str, Sparsifier] = {"random": drop_at_random, "magnitude": _drop_smallest}
