"""Task vectors, d_i = W_i - W_0: made one at a time, thinned out, and summed.

Ilharco et al., "Editing models with task arithmetic", arXiv 2212.04089, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from workers.merging.kernel import Ingredients
from workers.merging.precision import accumulation_dtype, l1_norm
from workers.merging.weighting import normalizer

Sparsifier = Callable[[Tensor, float, int], Tensor]
"""Sets entries of a task vector to zero, in place: (task vector, density, seed) -> the same tensor."""


def base_tensor(ingredients: Ingredients) -> Tensor:
    """Returns the base in the precision of the sums."""
    if ingredients.base is None:
        raise ValueError("task vectors need a base; the plan gives one to every method that declares it")
    return ingredients.base.to(accumulation_dtype(ingredients.base))


def weighted_task_vectors(
    ingredients: Ingredients, base: Tensor, sparsify: Sparsifier | None = None
) -> Iterator[tuple[float, Tensor]]:
    """Yields each parent's weight and task vector [...], sparsified to the parent's density.

    Parents that add nothing (weight or density 0) are left out.  Only one task vector is alive at
    a time, and whoever takes it may overwrite it.
    """
    weights, densities = ingredients.per_parent["weight"], ingredients.per_parent["density"]
    seeds = ingredients.seeds or (0,) * len(weights)
    for parent, weight, density, seed in zip(ingredients.parents, weights, densities, seeds, strict=True):
        if weight == 0.0 or (sparsify is not None and density <= 0.0):
            continue
        delta = _task_vector(parent, base)
        if sparsify is not None and density < 1.0:
            before = l1_norm(delta) if ingredients.shared["rescale"] else 0.0
            delta = sparsify(delta, density, seed)
            if before:
                restore_l1(delta, before)
        yield weight, delta


def _task_vector(parent: Tensor, base: Tensor) -> Tensor:
    own = parent.to(base.dtype)
    return torch.sub(own, base) if own is parent else own.sub_(base)


def restore_l1(delta: Tensor, norm: float) -> None:
    """Stretches a task vector, in place, to this L1 norm; one that is all zeros stays so."""
    left = l1_norm(delta)
    if left > 0.0:
        delta.mul_(norm / left)


def add_task_vectors(ingredients: Ingredients, sparsify: Sparsifier | None = None) -> Tensor:
    """Returns W_0 + lambda sum_i w_i d_i; with `normalize`, the sum is divided by sum_i w_i.

    Raises:
        MergeError: The weights sum to zero and `normalize` is on.
    """
    base = base_tensor(ingredients)
    if not ingredients.parents:
        return base
    factor = ingredients.shared["lambda"]
    if ingredients.shared["normalize"]:
        factor /= normalizer(ingredients.per_parent["weight"])
    total: Tensor | None = None
    for weight, delta in weighted_task_vectors(ingredients, base, sparsify):
        total = delta.mul_(weight) if total is None else total.add_(delta, alpha=weight)
    return base if total is None else total.mul_(factor).add_(base)
