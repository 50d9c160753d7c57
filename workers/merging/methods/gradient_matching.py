"""Task arithmetic whose steps are scaled by how certain each parent is of an entry.

Daheim et al., "Model Merging by Uncertainty-Based Gradient Matching", arXiv 2310.12808, equation 12,
with the scaling factor s and the constants of the authors' code.

    W = W_0 + s sum_i (a_i H_i + p H_0 + d) / (s sum_j a_j H_j + p H_0 + d) . (W_i - W_0)

W_0, W_i [...] any shape; H_0, H_i [...] recorded diagonals of the Fisher information, >= 0; a_i the
`weight`, s the `lambda`, p the `prior` and d the `delta`.  Where the denominator is 0 no parent is certain
of anything, and the base stays.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workers.merging.arithmetic.recorded import checked_diagonal, diagonals
from workers.merging.arithmetic.task_vectors import base_tensor, task_vector
from workers.merging.kernel import Ingredients


def gradient_matching(ingredients: Ingredients) -> Tensor:
    """Returns the merged tensor [...], in float32 or wider.

    Raises:
        MergeError: A parent, or the base where `prior` is not 0, has no Fisher record of this tensor.
    """
    base = base_tensor(ingredients)
    found = diagonals(ingredients, "fisher")
    weights, scale = ingredients.per_parent["weight"], ingredients.shared["lambda"]
    common = torch.full_like(base, ingredients.shared["delta"])
    prior = ingredients.shared["prior"]
    if prior:
        of_base = checked_diagonal(ingredients.base_records.get("fisher"), base, "fisher", "the base")
        common.add_(of_base.to(base.dtype), alpha=prior)
    denominator, steps = common.clone(), torch.zeros_like(base)
    for parent, record, weight in zip(ingredients.parents, found, weights, strict=True):
        own = record.to(base.dtype)
        denominator.add_(own, alpha=scale * weight)
        steps.add_(torch.add(common, own, alpha=weight).mul_(task_vector(parent, base)))
    step = steps.mul_(scale).div_(denominator)
    return torch.where(denominator == 0.0, base, step.add_(base))
