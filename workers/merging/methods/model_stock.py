"""Model Stock: the average of fine-tunings, pulled towards the base by the angle between them.

Jang et al., "Model Stock: all we need is just a few fine-tuned models", arXiv 2403.19522.

    d_i = W_i - W_0,   c = mean over pairs i < j of <d_i, d_j> / (|d_i| |d_j|)
    t = n c / (1 + (n - 1) c),   W = t mean_i W_i + (1 - t) W_0

W_i, W_0 [...]; c, t numbers per tensor, or per row, along the last dimension (`granularity: row`, or
mergekit's `filter_wise: true`; a vector is one row).  A task vector without length stands at a right
angle to all.  With `clamp`, t is kept between 0 and 1; without, c < 0 goes beyond the base.
Where 1 + (n - 1) c vanishes, so that |t| > 32 n, the parents cancel each other and t is 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor

from workers.merging.arithmetic.mixtures import around_base, kernel_of
from workers.merging.arithmetic.precision import accumulation_dtype
from workers.merging.arithmetic.rows import as_rows, row_products
from workers.merging.degenerate import LARGEST_SHARE
from workers.merging.kernel import Ingredients, Mixture, Scalars


def is_row_wise(choices: Mapping[str, str], shared: Mapping[str, float]) -> bool:
    """Says whether every row has an angle of its own, by our word for it or by mergekit's switch."""
    return choices.get("granularity") == "row" or bool(shared["filter_wise"])


def _weights(scalars: Scalars) -> tuple[float, ...]:
    gram, count = scalars.gram, len(scalars.gram)
    cosines = [1.0] if count == 1 else []  # a model alone agrees with itself
    for i, j in combinations(range(count), 2):
        lengths = math.sqrt(gram[i, i]) * math.sqrt(gram[j, j])
        cosines.append(min(max(float(gram[i, j]) / lengths, -1.0), 1.0) if lengths > 0.0 else 0.0)
    if not cosines:
        return (1.0,)
    cosine = math.fsum(cosines) / len(cosines)
    divisor = 1.0 + (count - 1) * cosine
    t = 0.0 if abs(cosine) > LARGEST_SHARE * abs(divisor) else count * cosine / divisor
    if scalars.shared["clamp"]:
        t = min(max(t, 0.0), 1.0)
    return around_base([t / count] * count, with_base=True)


MODEL_STOCK = Mixture(_weights, "task_vectors", lambda choices, shared: not is_row_wise(choices, shared))
_whole = kernel_of(MODEL_STOCK)


def model_stock(ingredients: Ingredients) -> Tensor:
    """Returns the average of the parents, pulled towards the base; whole or row by row."""
    base = ingredients.base
    if base is None or not ingredients.parents or not is_row_wise(ingredients.choices, ingredients.shared):
        return _whole(ingredients)
    origin = base.to(accumulation_dtype(base))
    deltas = [as_rows(parent.to(origin.dtype) - origin) for parent in ingredients.parents]
    count = len(deltas)
    t = _row_positions(deltas)
    if ingredients.shared["clamp"]:
        t = t.clamp(0.0, 1.0)
    total = _sum_in_order(deltas)
    return (total * (t / count).to(origin.dtype)[:, None]).reshape(base.shape).add_(origin)


def _row_positions(deltas: list[Tensor]) -> Tensor:
    """Returns t for every row: [rows] in float64, of task vectors [rows, columns]."""
    count = len(deltas)
    squares = [row_products(delta, delta) for delta in deltas]
    cosine = torch.zeros_like(squares[0]) if count > 1 else torch.ones_like(squares[0])
    pairs = list(combinations(range(count), 2))
    for i, j in pairs:
        lengths = squares[i].sqrt() * squares[j].sqrt()
        found = (row_products(deltas[i], deltas[j]) / lengths).clamp(-1.0, 1.0)
        cosine += torch.where(lengths == 0.0, torch.zeros_like(found), found) / len(pairs)
    divisor = 1.0 + (count - 1) * cosine
    cancelling = cosine.abs() > LARGEST_SHARE * divisor.abs()
    return torch.where(cancelling, torch.zeros_like(cosine), count * cosine / divisor)


def _sum_in_order(deltas: list[Tensor]) -> Tensor:
    total = deltas[0].clone()
    for delta in deltas[1:]:
        total.add_(delta)
    return total
