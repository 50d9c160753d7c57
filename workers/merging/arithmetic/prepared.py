"""Kernels of methods that are sums of prepared tensors: W = W_0 + sum_j c_j E_j."""

from __future__ import annotations

import torch
from torch import Tensor

from workers.merging.arithmetic.task_vectors import base_tensor
from workers.merging.kernel import Ingredients, Kernel, Preparation


def kernel_of(preparation: Preparation) -> Kernel:
    """Returns the kernel that defines a method: its tensors made anew, summed and added to the base."""

    def kernel(ingredients: Ingredients) -> Tensor:
        base = base_tensor(ingredients)
        total: Tensor = torch.zeros_like(base)
        made = preparation.finish(ingredients, preparation.make(ingredients))
        for coefficient, tensor in zip(preparation.coefficients(ingredients), made, strict=True):
            total.add_(tensor, alpha=coefficient)
        return total.add_(base)

    return kernel


def weights_times_lambda(ingredients: Ingredients) -> tuple[float, ...]:
    """Returns lambda w_i: the coefficients of methods that prepare one tensor per parent."""
    return tuple(ingredients.shared["lambda"] * weight for weight in ingredients.per_parent["weight"])
