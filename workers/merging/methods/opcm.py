"""OPCM: one model after the other, each projected off what was merged before it.

Tang et al., "Merging Models on the Fly Without Retraining: A Sequential Approach to Scalable Continual
Model Merging", arXiv 2501.09522.  With d_t the task vectors in the recipe's order and D the
merged one, D_1 = d_1 and, for matrices,

    D_{t-1} = U diag(S) V^T,   P = U^T d_t V,   Z = P on its diagonal and in its leading r x r block
    r   = the first j with (S_1 + ... + S_{j+1}) / sum S > alpha
    D_t = D_{t-1} + d_t - U Z V^T

and D_t = D_{t-1} + d_t elsewhere.  Last, over the whole model,

    W = W_0 + lambda (mean_i ||d_i|| / ||D_T||) D_T

The paper rescales after every step; U, V and r do not change with D's scale, so that the last rescaling
gives the same.  Its factor takes a survey of all tensors; where it would pass 32, the task vectors have
cancelled and what is left of them is not stretched.  Directions without a singular value are not
projected off, and an alpha of 1 projects off all others (the authors' code: none).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.merging.arithmetic.matrices import on_matrices, rounded, task_vectors
from workers.merging.arithmetic.precision import dot, is_finite
from workers.merging.arithmetic.prepared import kernel_of
from workers.merging.arithmetic.singular_vectors import singular_vectors
from workers.merging.arithmetic.whole_model import surveyed
from workers.merging.degenerate import LARGEST_SHARE
from workers.merging.kernel import Ingredients, Portion, Preparation, Survey


@dataclass(frozen=True, slots=True)
class Rescaling:
    """The factor that gives the merged task vector the task vectors' mean norm."""

    factor: float


def _merged(ingredients: Ingredients, deltas: Sequence[Tensor]) -> list[Tensor]:
    """Returns D_T [...], unscaled, alone in a list; nothing where there are no parents."""
    alpha = ingredients.shared["alpha"]

    def decompose(matrices: Sequence[Tensor]) -> Sequence[Tensor]:
        merged = matrices[0].clone()
        for delta in matrices[1:]:
            merged += _projected_off(merged, delta, alpha)
        return [merged]

    return on_matrices(ingredients, deltas, decompose, lambda others: [torch.stack(list(others)).sum(0)])


def _projected_off(merged: Tensor, delta: Tensor, alpha: float) -> Tensor:
    """Returns d_t - U Z V^T [m, n]."""
    found = singular_vectors(merged)
    if len(found.s) == 0:
        return delta
    reached = found.s.cumsum(0) / found.s.sum() > alpha
    block = int(reached.to(torch.uint8).argmax()) if bool(reached[-1]) else len(found.s)
    projection = found.u.T @ delta @ found.v
    removed = torch.diag(projection.diagonal())
    removed[:block, :block] = projection[:block, :block]
    return delta - found.u @ removed @ found.v.T


def _look(portions: Sequence[Portion]) -> Rescaling:
    """Makes every tensor once for its norm."""
    measures = []
    for portion in portions:
        ingredients = portion.load()
        measures.append(_measure(ingredients, _prepare(ingredients)))
    return _combine(measures)


def _measure(ingredients: Ingredients, made: tuple[Tensor, ...]) -> tuple[list[float], float]:
    """Returns ||d_i||^2 of every parent and ||D_T||^2, of one tensor; broken numbers count as zero."""
    deltas = task_vectors(ingredients)
    if not all(is_finite(delta) for delta in deltas):
        deltas = [torch.nan_to_num(delta, nan=0.0, posinf=0.0, neginf=0.0) for delta in deltas]
        made = rounded(_merged(ingredients, deltas), ingredients)
    return [dot(delta, delta) for delta in deltas], math.fsum(dot(merged, merged) for merged in made)


def _combine(measures: Sequence[tuple[list[float], float]]) -> Rescaling:
    """Returns the factor for the whole model, of all tensors' measures."""
    whole = math.fsum(merged for _, merged in measures)
    if whole == 0.0:
        return Rescaling(1.0)
    squares = [math.fsum(of_parent) for of_parent in zip(*(own for own, _ in measures), strict=True)]
    factor = math.fsum(math.sqrt(square) for square in squares) / len(squares) / math.sqrt(whole)
    return Rescaling(1.0 if factor > LARGEST_SHARE else factor)


OPCM_SURVEY = Survey(_look, ("alpha", "exclude_embeddings", "split_fused"), _measure, _combine)


def _prepare(ingredients: Ingredients) -> tuple[Tensor, ...]:
    return rounded(_merged(ingredients, task_vectors(ingredients)), ingredients)


def _coefficients(ingredients: Ingredients) -> tuple[float, ...]:
    if not ingredients.parents:
        return ()
    return (ingredients.shared["lambda"] * surveyed(ingredients, Rescaling).factor,)


OPCM = Preparation(_prepare, _coefficients, ("alpha", "exclude_embeddings", "split_fused"))
opcm = kernel_of(OPCM)
