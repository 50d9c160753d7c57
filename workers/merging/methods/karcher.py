"""The Riemannian centre of mass of the parents' directions, at the mean of their lengths.

Karcher, "Riemannian center of mass and mollifier smoothing", CPAM 30(5), 1977; found by gradient steps
on the unit sphere, as in mergekit (Goddard et al., arXiv 2403.13257).

    u_i = W_i / |W_i|,   u = sum_i a_i u_i, made a unit vector
    repeat:  theta_i = arccos <u, u_i>
             T = sum_i a_i theta_i / sin(theta_i) (u_i - cos(theta_i) u)
             u <- cos|T| u + sin|T| T / |T|           until |T| < tol, at most max_iter times
    W = (sum_i w_i |W_i|) u

W_i [...], flattened; w_i = weight_i / sum_j weight_j; a_i the same over parents that are not zero.
u stays in the span of the u_i, so that only inner products are needed.  Where the u_i cancel
(|sum| < tol), the first of them starts; a parent opposite to u pulls in no direction.  Where u would
hold more than 32 times a u_i, because the u_i nearly cancel, it is the first of them.
"""

from __future__ import annotations

import math

import numpy as np

from workers.errors import MergeError
from workers.merging.arithmetic.mixtures import kernel_of
from workers.merging.degenerate import blows_up
from workers.merging.kernel import Mixture, Scalars

_OPPOSITE = 1e-7  # sine from which on the way to a point is undefined
_RESOLUTION = 1e-8  # shortest vector that its inner products can tell from zero


def _weights(scalars: Scalars) -> tuple[float, ...]:
    """Returns the parents' shares.

    Raises:
        MergeError: The weights sum to zero.
    """
    lengths = np.sqrt(np.diagonal(scalars.gram))
    shares = np.array(scalars.per_parent["weight"])
    total = math.fsum(shares)
    if total <= 0.0:
        raise MergeError(
            "weight", f"the weights {shares.tolist()} sum to {total:g}", "give a parent more than 0"
        )
    shares = shares / total
    pulls = np.where(lengths > 0.0, shares, 0.0)
    if not pulls.any():
        return (0.0,) * len(lengths)
    scale = np.where(lengths > 0.0, 1.0 / np.where(lengths > 0.0, lengths, 1.0), 0.0)
    unit = np.clip(scalars.gram * np.outer(scale, scale), -1.0, 1.0)
    tolerance, steps = scalars.shared["tol"], int(scalars.shared["max_iter"])
    centre = karcher_mean(unit, pulls / pulls.sum(), steps=steps, tolerance=tolerance)
    return tuple((centre * scale * float(shares @ lengths)).tolist())


def karcher_mean(unit: np.ndarray, pulls: np.ndarray, *, steps: int, tolerance: float) -> np.ndarray:
    """Returns the centre of unit vectors as coefficients [n] of them.

    Args:
        unit: Inner products [n, n] of the unit vectors; a zero vector has zeros.
        pulls: How much each pulls [n]; they sum to 1, and those of zero vectors are 0.
        steps: How many gradient steps at most.
        tolerance: A shorter step ends the search.
    """
    centre = pulls.copy()
    if _length(unit, centre) < max(tolerance, _RESOLUTION):
        centre = _first_of(pulls)
    centre /= _length(unit, centre)
    for _ in range(steps):
        cosines = np.clip(unit @ centre, -1.0, 1.0)
        angles = np.arccos(cosines)
        sines = np.sin(angles)
        moving = (angles >= tolerance) & (sines > _OPPOSITE)
        factors = np.where(moving, pulls * angles / np.where(moving, sines, 1.0), 0.0)
        tangent = factors - float(factors @ cosines) * centre
        length = _length(unit, tangent)
        if length < max(tolerance, _RESOLUTION):
            break
        centre = math.cos(length) * centre + math.sin(length) / length * tangent
        centre /= _length(unit, centre)
    return _first_of(pulls) if blows_up(centre, pulls) else centre


def _first_of(pulls: np.ndarray) -> np.ndarray:
    """Returns the coefficients [n] of the first vector that pulls."""
    first = np.zeros(len(pulls))
    first[np.flatnonzero(pulls)[0]] = 1.0
    return first


def _length(unit: np.ndarray, coefficients: np.ndarray) -> float:
    return math.sqrt(max(float(coefficients @ unit @ coefficients), 0.0))


KARCHER = Mixture(_weights, "inputs")
karcher = kernel_of(KARCHER)
