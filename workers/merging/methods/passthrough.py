"""One parent's tensor as it is, for stacks of layers.

Akiba et al., "Evolutionary optimization of model merging recipes", arXiv 2403.13187, section 3.2.

    W = s W_1

W_1 [...] any shape; s the parent's `scale`, a number.
"""

from __future__ import annotations

from torch import Tensor

from workers.merging.arithmetic.precision import accumulation_dtype
from workers.merging.kernel import Ingredients


def passthrough(ingredients: Ingredients) -> Tensor:
    """Returns the parent times its scale; without a scale, the parent itself and no copy."""
    (parent,) = ingredients.parents
    (scale,) = ingredients.per_parent["scale"]
    return parent if scale == 1.0 else parent.to(accumulation_dtype(parent)) * scale
