"""Spherical average of any number of models, around a base where there is one.

As in mergekit (Goddard et al., arXiv 2403.13257): one step of the weighted mean on a sphere of Buss and
Fillmore, "Spherical averages", ACM TOG 20(2), 2001, algorithm A1, started from the normalized average.

    x_i = W_i - W_0  (without a base: W_i),   n_i = |x_i|,   u_i = x_i / (n_i + eps)
    w_i <- w_i / sum_j w_j                                   (with `normalize_weights`)
    m = sum_i w_i u_i / |sum_i w_i u_i|
    T = sum_i w_i (u_i - <u_i, m> m),   a = |T| + eps
    W = W_0 + (sum_i w_i n_i) (m cos a + T sin(a) / a)

W_i, W_0 [...], flattened for the products; w_i, n_i, a numbers.  Everything lies in the span of the x_i,
so that only their inner products are needed.  One model is returned as it is; task vectors that are
all zero give the base.  Directions that cancel, so that m would be made of more than 32 times what a
parent puts in, have no average: the straight one, W_0 + sum_i w_i x_i, is taken.
"""

from __future__ import annotations

import math

import numpy as np

from workers.merging.arithmetic.mixtures import around_base, kernel_of
from workers.merging.arithmetic.weighting import normalizer
from workers.merging.degenerate import blows_up
from workers.merging.kernel import Mixture, Scalars


def _weights(scalars: Scalars) -> tuple[float, ...]:
    """Returns the parents' shares.

    Raises:
        MergeError: The weights sum to zero and are to be normalized.
    """
    weights = np.array(scalars.per_parent["weight"])
    lengths = np.sqrt(np.diagonal(scalars.gram))
    if len(weights) == 1:
        return around_base((1.0,), with_base=scalars.with_base)
    if not lengths.any():
        return around_base((0.0,) * len(weights), with_base=scalars.with_base)
    if scalars.shared["normalize_weights"]:
        weights = weights / normalizer(weights.tolist(), switch="normalize_weights")
    shares = _shares(scalars.gram, lengths, weights, scalars.shared["eps"])
    return around_base(shares.tolist(), with_base=scalars.with_base)


def _shares(gram: np.ndarray, lengths: np.ndarray, weights: np.ndarray, eps: float) -> np.ndarray:
    """Returns the factors [n] of the vectors x_i; all vectors here are coefficients [n] of the u_i."""
    scale = np.where(lengths > 0.0, 1.0 / np.where(lengths > 0.0, lengths + eps, 1.0), 0.0)
    unit = gram * np.outer(scale, scale)  # <u_i, u_j>
    middle = weights.copy()
    length = math.sqrt(max(float(middle @ unit @ middle), 0.0))
    if length <= eps or blows_up(middle / length, weights):
        return weights
    middle /= length
    towards = unit @ middle  # <u_i, m>
    tangent = weights - float(weights @ towards) * middle
    step = math.sqrt(max(float(tangent @ unit @ tangent), 0.0)) + eps
    direction = middle * math.cos(step) + tangent * (math.sin(step) / step if step else 1.0)
    return np.asarray(direction * scale * float(weights @ lengths))


MULTISLERP = Mixture(_weights, "task_vectors")
multislerp = kernel_of(MULTISLERP)
