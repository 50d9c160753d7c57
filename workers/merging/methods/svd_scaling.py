"""Task vectors that are added up, their singular values raised at random: CycleQD's children.

Kuroki et al., "Agent Skill Acquisition for Large Language Models via CycleQD", arXiv 2410.14735,
section 3.2.  With d_i = W_i - W_0 and, for matrices, d_i = U_i diag(s_i) V_i^T:

    W = W_0 + sum_i w_i d_i + sum_i r_i U_i diag(u_i s_i) V_i^T,     u_i ~ Uniform[0, 1)^k

W_0, W_i [m, n]; w_i = `weight`, r_i = `svd_rate`.  Crossover is the first sum, its weights divided by
their own by the breeding optimizer, mutation the second; so a child is a recipe over the original
parents.  The u_i follow from `svd_seed`, the recipe's seed, the parent and the tensor's name.
Other tensors take the first sum alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workers.errors import MergeError
from workers.merging.arithmetic.matrices import matrices_in, rounded, task_vectors
from workers.merging.arithmetic.precision import is_finite
from workers.merging.arithmetic.prepared import kernel_of
from workers.merging.arithmetic.singular_vectors import SingularVectors, singular_vectors
from workers.merging.arithmetic.task_vectors import base_tensor, weighted_task_vectors
from workers.merging.kernel import Ingredients, Preparation
from workers.merging.thinning.counter_random import random_words

_SPREAD = 0x9E3779B97F4A7C15  # odd: different seeds stay different
_FACTORS = 3  # u, s and v of every matrix


def raised(found: SingularVectors, shares: Tensor) -> Tensor:
    """Returns U diag(shares * S) V^T [m, n], for shares [k]."""
    return (found.u * (shares * found.s)) @ found.v.T


def uniform(seed: int, count: int, device: torch.device) -> Tensor:
    """Returns numbers in [0, 1), float64 [count], of a 64-bit seed alone."""
    return (random_words(seed, 0, count, device=device).double() + 2.0**31) / 2.0**32


def _factorize(ingredients: Ingredients) -> tuple[Tensor, ...]:
    """Returns u, s and v of every parent's matrices, one after the other; of broken ones none."""
    made: list[Tensor] = []
    for delta in task_vectors(ingredients):
        for matrix in matrices_in(ingredients, delta):
            found = singular_vectors(matrix, None if is_finite(matrix) else 0)
            made += [found.u, found.s, found.v]
    return rounded(made, ingredients)


def _finish(ingredients: Ingredients, made: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Returns what is added to the base [...]."""
    base = base_tensor(ingredients)
    if not ingredients.parents:
        return ()
    total = torch.zeros_like(base)
    for weight, delta in weighted_task_vectors(ingredients, base):
        total.add_(delta, alpha=weight)
    own = len(made) // len(ingredients.parents)
    for number, rate in enumerate(ingredients.per_parent["svd_rate"]):
        if rate != 0.0 and own:
            _mutate(total, ingredients, number, made[number * own : (number + 1) * own])
    return (total,)


def _mutate(total: Tensor, ingredients: Ingredients, number: int, factors: Sequence[Tensor]) -> None:
    """Adds r_i U_i diag(u_i s_i) V_i^T to each matrix that `total` holds; a broken parent shows."""
    rate = ingredients.per_parent["svd_rate"][number]
    parent = ingredients.parents[number]
    seed = _seed(ingredients, number)
    for block, place in enumerate(matrices_in(ingredients, total)):
        found = SingularVectors(*factors[block * _FACTORS : (block + 1) * _FACTORS])
        shares = uniform((seed + block) % 2**64, len(found.s), found.s.device)
        place.add_(raised(found, shares.to(found.s.dtype)).to(place.dtype), alpha=rate)
    if not is_finite(parent):
        total.add_(parent)


def _seed(ingredients: Ingredients, number: int) -> int:
    seed = ingredients.per_parent["svd_seed"][number]
    if seed != int(seed):
        raise MergeError("svd_seed", f"{seed:g} is no whole number", "write one, without a gradient")
    return (ingredients.seeds[number] + int(seed) * _SPREAD) % 2**64


def _coefficients(ingredients: Ingredients) -> tuple[float, ...]:
    return (1.0,) if ingredients.parents else ()


SVD_SCALING = Preparation(_factorize, _coefficients, ("exclude_embeddings", "split_fused"), _finish)
svd_scaling = kernel_of(SVD_SCALING)
