"""The weights whose outputs are nearest to all parents' outputs, each on its own inputs.

Jin et al., "Dataless Knowledge Fusion by Merging Weights of Language Models", arXiv 2212.09849,
equation 2 and algorithm 1.

    W^T = (sum_i w_i G_i)^-1 sum_i w_i G_i W_i^T,      G_i = X_i^T X_i

W_i [out, in]; X_i [tokens, in] the layer's inputs in parent i; G_i [in, in], whose entries beside the
diagonal are multiplied by `off_diagonal`; w_i a number.  Weights that are stored input first (GPT-2's,
[in, out]) have Gram matrices [1, in, in].  Tensors of which no parent has a Gram matrix (norms, biases,
embeddings) are averaged with the weights w_i.

Solved as a correction D to that average A, by least squares:

    (sum_i w_i G_i) D^T = sum_i w_i G_i (W_i - A)^T

These are the same weights where the sum of the Gram matrices is regular.  Where it is singular, because
no text ever excited some direction of the inputs, the average stays in that direction instead of
turning to 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workers.errors import MergeError
from workers.merging.arithmetic.precision import accumulation_dtype
from workers.merging.arithmetic.weighting import normalizer
from workers.merging.kernel import Ingredients

_RECORDED_DIGITS = torch.finfo(torch.float32).eps  # records are kept in float32


def regmean(ingredients: Ingredients) -> Tensor:
    """Returns the merged tensor [...], in float32 or wider; solved in float64.

    Raises:
        MergeError: All weights are 0, or some parents have a Gram matrix of this tensor and others none,
            or one of another shape or with NaN.
    """
    parents, weights = ingredients.parents, ingredients.per_parent["weight"]
    total = normalizer(weights, switch="the average")
    shares = [weight / total for weight in weights]
    dtype = accumulation_dtype(parents[0])
    average = torch.zeros_like(parents[0], dtype=torch.float64)
    for parent, share in zip(parents, shares, strict=True):
        if share:
            average.add_(parent.double(), alpha=share)
    grams = _grams(ingredients)
    if not grams or not average.numel():
        return average.to(dtype)
    input_first = grams[0].dim() == 3
    flipped = [parent if input_first else parent.T for parent in parents]
    correction = _correction(flipped, average if input_first else average.T, grams, shares, ingredients)
    return average.add_(correction if input_first else correction.T).to(dtype)


def _correction(
    flipped: Sequence[Tensor],
    average: Tensor,
    grams: Sequence[Tensor],
    shares: Sequence[float],
    ingredients: Ingredients,
) -> Tensor:
    """Returns D^T [in, out]; weights are given input first."""
    keep = ingredients.shared["off_diagonal"]
    size = average.shape[0]
    left = torch.zeros((size, size), dtype=torch.float64, device=average.device)
    right = torch.zeros_like(average)
    for weight, gram, share in zip(flipped, grams, shares, strict=True):
        if not share:
            continue
        full = gram.reshape(size, size).double()
        reduced = full * keep
        reduced.diagonal().copy_(full.diagonal())
        left.add_(reduced, alpha=share)
        right.addmm_(reduced, weight.double() - average, alpha=share)
    if not bool(torch.isfinite(left).all()):
        raise MergeError("gram", "a record holds NaN or infinity", "calibrate the parents again")
    return _least_squares(left, right)


def _least_squares(left: Tensor, right: Tensor) -> Tensor:
    """Returns the shortest X [n, m] that minimizes |left X - right|; left [n, n] symmetric, >= 0."""
    size = left.shape[0]
    smallest = size * _RECORDED_DIGITS
    factor, failed = torch.linalg.cholesky_ex(left)
    pivots = factor.diagonal().square()
    if not int(failed) and float(pivots.min()) > smallest * float(pivots.max()):
        solved: Tensor = torch.cholesky_solve(right, factor)
        return solved
    values, vectors = torch.linalg.eigh(left)
    kept = values > smallest * float(values.abs().max())
    inverse = torch.where(kept, 1.0 / torch.where(kept, values, 1.0), 0.0)
    shortest: Tensor = vectors @ (inverse[:, None] * (vectors.T @ right))
    return shortest


def _grams(ingredients: Ingredients) -> tuple[Tensor, ...]:
    """Returns one Gram matrix per parent; none where no parent has one.

    Raises:
        MergeError: Some have one and others not, or they do not fit the tensor.
    """
    found = ingredients.records.get("gram", ())
    if all(gram is None for gram in found):
        return ()
    like = ingredients.parents[0]
    checked: list[Tensor] = []
    for number, gram in enumerate(found, start=1):
        if gram is None:
            detail = "has no Gram matrix of this tensor, other parents have one"
            raise MergeError(f"parent {number}", detail, "calibrate it again, in the same way as the others")
        if like.dim() != 2 or tuple(gram.shape) not in _shapes(like):
            detail = f"its Gram matrix has shape {list(gram.shape)}, the tensor {list(like.shape)}"
            raise MergeError(f"parent {number}", detail, "calibrate it again")
        if checked and gram.shape != checked[0].shape:
            detail = f"its Gram matrix has shape {list(gram.shape)}, the first's {list(checked[0].shape)}"
            raise MergeError(f"parent {number}", detail, "calibrate it again")
        checked.append(gram)
    return tuple(checked)


def _shapes(like: Tensor) -> tuple[tuple[int, ...], ...]:
    rows, columns = like.shape
    return (columns, columns), (1, rows, rows)
