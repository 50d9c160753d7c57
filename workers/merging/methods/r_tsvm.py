"""R-TSVM, reconstructed: TSV-Merge with weights from outliers and ranks from sparsity.

Yang et al., "Mix Data or Merge Models? Balancing the Helpfulness, Honesty, and Harmlessness of Large
Language Model via Model Merging", arXiv 2502.06876.  Its abstract names outlier-aware weighting and
sparsity-adaptive ranks; the formulas are ours.  For a matrix d_i = W_i - W_0 [m, n] of T parents:

    o_i = sum |d_i| over the entries beyond mean |d_i| + outliers * std |d_i|
    v_i = (T o_i / sum_j o_j)^outlier_exponent         1 where no parent has outliers
    s_i = the share of entries with |d_i| < sparsity * max |d_i|
    k_i = max(1, floor(min(m, n) (1 - s_i) / sum_j (1 - s_j)))
    W   = W_0 + lambda sum_i w_i U'_i diag(S_i) V'_i^T,  TSV-Merge of the v_i d_i with ranks k_i

`granularity: row` takes o_i and v_i for every row.  A parent whose d_i is zero counts as all sparse.
Other tensors, and matrices with fewer rows or columns than there are parents, take the mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workers.merging.arithmetic.matrices import means, on_matrices, rounded, task_vectors
from workers.merging.arithmetic.prepared import kernel_of, weights_times_lambda
from workers.merging.kernel import Ingredients, Preparation
from workers.merging.methods.tsvm import orthogonalized

_ROUNDING = 1e-12


def _prepare(ingredients: Ingredients) -> tuple[Tensor, ...]:
    shared, by_row = ingredients.shared, ingredients.choices["granularity"] == "row"

    def decompose(deltas: Sequence[Tensor]) -> Sequence[Tensor]:
        if len(deltas) > min(deltas[0].shape):
            return means(deltas)
        factors = _outlier_weights(deltas, shared["outliers"], shared["outlier_exponent"], by_row=by_row)
        weighted = [delta * factor for delta, factor in zip(deltas, factors, strict=True)]
        return orthogonalized(weighted, _ranks(deltas, shared["sparsity"]))

    made = on_matrices(ingredients, task_vectors(ingredients), decompose, means)
    return rounded(made, ingredients)


def _outlier_weights(deltas: Sequence[Tensor], beyond: float, exponent: float, *, by_row: bool) -> Tensor:
    """Returns the v_i [T, 1, 1], or [T, m, 1] by row."""
    magnitudes_TMN = torch.stack(list(deltas)).abs()
    over = (2,) if by_row else (1, 2)
    mean = magnitudes_TMN.mean(over, keepdim=True)
    spread = magnitudes_TMN.std(over, correction=0, keepdim=True)
    # Magnitudes that are all equal differ from their own mean by its rounding, and are no outliers.
    threshold = mean * (1.0 + _ROUNDING) + beyond * spread
    outliers = torch.where(magnitudes_TMN > threshold, magnitudes_TMN, 0.0).sum(over, True)
    total = outliers.sum(0, keepdim=True)
    shares = torch.where(total > 0, len(deltas) * outliers / total.clamp(min=1e-300), 1.0)
    return shares.pow(exponent)


def _ranks(deltas: Sequence[Tensor], sparsity: float) -> list[int]:
    """Returns the k_i, which add up to min(m, n) at most."""
    shorter = min(deltas[0].shape)
    dense = [_density(delta, sparsity) for delta in deltas]
    whole = sum(dense) or 1.0
    ranks = [max(1, int(shorter * share / whole)) for share in dense]
    while sum(ranks) > shorter:  # raised to 1: the largest, and of these the first, gives way
        ranks[ranks.index(max(ranks))] -= 1
    return ranks


def _density(delta: Tensor, sparsity: float) -> float:
    """Returns 1 - s_i."""
    magnitude = delta.abs()
    largest = magnitude.max()
    if float(largest) == 0.0:
        return 0.0
    return float((magnitude >= sparsity * largest).double().mean())


R_TSVM = Preparation(
    _prepare,
    weights_times_lambda,
    ("outliers", "outlier_exponent", "sparsity", "granularity", "exclude_embeddings", "split_fused"),
)
r_tsvm = kernel_of(R_TSVM)
