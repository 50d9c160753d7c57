"""Task vectors, d_i = W_i - W_0: made one at a time, thinned out, and summed.

Ilharco et al., "Editing models with task arithmetic", arXiv 2212.04089, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from workers.merging.arithmetic.precision import accumulation_dtype, l1_norm
from workers.merging.arithmetic.weighting import normalizer
from workers.merging.kernel import Ingredients

Sparsifier = Callable[[Tensor, Ingredients, int], Tensor]
"""Sets entries of a parent's task vector to zero, in place: (task vector, ingredients, the parent's
number) -> the same tensor.  It finds its parameters, seed and thresholds under that number.
"""


def base_tensor(ingredients: Ingredients) -> Tensor:
    """Returns the base in the precision of the sums."""
    if ingredients.base is None:
        raise ValueError("task vectors need a base; the plan gives one to every method that declares it")
    return ingredients.base.to(accumulation_dtype(ingredients.base))


def weighted_task_vectors(
    ingredients: Ingredients, base: Tensor, sparsify: Sparsifier | None = None
) -> Iterator[tuple[float, Tensor]]:
    """Yields each parent's weight and task vector [...], sparsified.

    Parents that add nothing (weight or density 0) are left out.  Only one task vector is alive at
    a time, and its taker may overwrite it.

    Raises:
        MergeError: The sparsifier cannot work with the parent's numbers.
    """
    weights = ingredients.per_parent["weight"]
    for number, (parent, weight) in enumerate(zip(ingredients.parents, weights, strict=True)):
        dropped = sparsify is not None and ingredients.per_parent["density"][number] <= 0.0
        if weight == 0.0 or dropped:
            continue
        delta = task_vector(parent, base)
        yield weight, delta if sparsify is None else sparsify(delta, ingredients, number)


def task_vector(parent: Tensor, base: Tensor) -> Tensor:
    """Returns W_i - W_0 [...], contiguous, a tensor of its own.

    Args:
        parent: [...], of any dtype.
        base: [...], in the precision of the sums.
    """
    own = parent.to(base.dtype)
    delta = torch.sub(own, base) if own is parent else own.sub_(base)
    return delta.contiguous()


def rescaled(sparsify: Sparsifier) -> Sparsifier:
    """Returns the sparsifier that, with `rescale`, stretches what is left to the L1 norm from before."""

    def sparsify_and_stretch(delta: Tensor, ingredients: Ingredients, parent: int) -> Tensor:
        before = l1_norm(delta) if ingredients.shared["rescale"] else 0.0
        delta = sparsify(delta, ingredients, parent)
        if before:
            restore_l1(delta, before)
        return delta

    return sparsify_and_stretch


def restore_l1(delta: Tensor, norm: float) -> None:
    """Stretches a task vector, in place, to this L1 norm; one that is all zeros stays so."""
    left = l1_norm(delta)
    if left > 0.0:
        delta.mul_(norm / left)


def add_task_vectors(ingredients: Ingredients, sparsify: Sparsifier | None = None) -> Tensor:
    """Returns W_0 + lambda sum_i w_i d_i; with `normalize`, the sum is divided by sum_i w_i.

    Methods that declare no `normalize` are not divided.

    Raises:
        MergeError: The weights sum to zero and `normalize` is on, or the sparsifier cannot work.
    """
    base = base_tensor(ingredients)
    if not ingredients.parents:
        return base
    factor = ingredients.shared["lambda"]
    if ingredients.shared.get("normalize", 0.0):
        factor /= normalizer(ingredients.per_parent["weight"])
    total: Tensor | None = None
    for weight, delta in weighted_task_vectors(ingredients, base, sparsify):
        total = delta.mul_(weight) if total is None else total.add_(delta, alpha=weight)
    return base if total is None else total.mul_(factor).add_(base)
