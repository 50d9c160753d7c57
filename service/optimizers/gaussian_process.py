"""A Gaussian process of many quantities at once, all of them as smooth as each other.

Shapes: n known points and z new ones in the unit cube of d dimensions, C columns of values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular

Array = NDArray[np.float64]

# What is tried, in shares of the largest distance in the cube, and of the signal's variance.
LENGTHS = (0.05, 0.07, 0.1, 0.15, 0.22, 0.32, 0.47, 0.7, 1.0, 1.4)
LINEAR = (0.02, 0.1, 0.3, 0.6, 0.9)
NOISES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
FIRST = (0.32, 0.3, 0.03)  # where the trying begins
LEVEL = 0.3  # prior variance of a column's mean, as a share of the signal's
JITTER = 1e-6
MOST_DIRECTIONS = 6  # in which slopes are taken
EVEN = 0.3  # of a coordinate's importance, what is the same for all, beside what its slopes say
FINEST, COARSEST = 0.3, 3.0  # scales
REFINEMENTS = 2
_MIDDLE = 0.5  # of the unit cube, from where straight lines are measured


@dataclass(frozen=True, slots=True)
class Smoothness:
    """What all columns share.

    Attributes:
        length: Over how far a value changes, as a share of the cube's diagonal.
        linear: Share of the variance that straight lines explain; the rest bends.
        noise: Variance of what is not smooth, as a share of the signal's.
    """

    length: float
    linear: float
    noise: float


_AXES = ("noise", "length", "linear")  # in the order in which they are tried
_GRID: Mapping[str, Sequence[float]] = {"noise": NOISES, "length": LENGTHS, "linear": LINEAR}


class GaussianProcess:
    """Predicts columns of values from points, with one kernel and one factorization for all of them.

    k(x, z) = (1 - b) exp(-|x - z|^2 / (2 l^2 d)) + b (x - 1/2) . (z - 1/2) / (d / 12) + level, and noise
    on the diagonal (Rasmussen and Williams, 2006, sections 2.2 and 4.2), each coordinate stretched by a
    scale.  Length l, share b and noise are those of a grid under which the known values are likeliest, the
    signal's variance being the likeliest for them (section 5.4): a grid, because a descent would end
    elsewhere on another processor, and a search must go on there as it began.

    Args:
        points: Shape [n, d], at least one of them.
        values: Shape [n, C], in units in which all columns spread about equally.
        counts: By how much each column counts in the likelihood, shape [C]: the items of one benchmark
            are no independent witnesses.
        scales: By how much more than usual each coordinate matters, shape [d]; None for equally much.
        like: Where the trying of lengths, shares and noises begins, if that is known: then they are tried
            once only.
    """

    def __init__(
        self,
        points: Array,
        values: Array,
        counts: Array,
        *,
        scales: Array | None = None,
        like: Smoothness | None = None,
    ) -> None:
        self.scales = np.ones(points.shape[1]) if scales is None else scales
        self._points = (points - _MIDDLE) * self.scales
        self._lengths = np.einsum("nd,nd->n", self._points, self._points)
        self._products = self._points @ self._points.T
        self._means = values.mean(axis=0)
        self._values = values - self._means
        self._weight = float(counts.sum())
        self._witness = self._values * np.sqrt(counts)
        if len(counts) > len(points):  # only the products of rows matter, and these are a root of them
            self._witness = _root(self._witness @ self._witness.T)
        self.smoothness, self.loss = self._likeliest(like)
        self._factorize()

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Returns the means, shape [z, C], and the standard deviations, shape [z].

        How sure one can be depends on where one asks, not on which column.
        """
        points = (points - _MIDDLE) * self.scales
        lengths = np.einsum("zd,zd->z", points, points)
        products = points @ self._points.T
        kernel = self._kernel(lengths, self._lengths, products, self.smoothness)
        linear = self.smoothness.linear
        prior = 1 - linear + LEVEL + linear * lengths * (12 / points.shape[1])
        explained = np.einsum("zn,zn->z", kernel @ self._inverse, kernel)
        deviations = np.sqrt(self._variance * np.maximum(prior - explained, 0.0))
        return self._means + kernel @ self._solved, deviations

    def covariance(self, points: Array) -> Array:
        """Returns how far predictions err together, shape [z, z]; its diagonal is the deviations' square."""
        points = (points - _MIDDLE) * self.scales
        lengths = np.einsum("zd,zd->z", points, points)
        kernel = self._kernel(lengths, self._lengths, points @ self._points.T, self.smoothness)
        prior = self._kernel(lengths, lengths, points @ points.T, self.smoothness)
        return np.asarray(self._variance * (prior - kernel @ self._inverse @ kernel.T))

    @property
    def noise(self) -> float:
        """The standard deviation of what is not smooth."""
        return math.sqrt(self._variance * self.smoothness.noise)

    @property
    def reach(self) -> float:
        """How far one must go, in stretched coordinates, until what bends is another: l sqrt(d)."""
        return self.smoothness.length * math.sqrt(self._points.shape[1])

    def errors(self) -> Array:
        """Returns by how much each known value is mispredicted by the others, shape [n, C] (eq. 5.12)."""
        return np.asarray(self._solved / np.diag(self._inverse)[:, None], dtype=np.float64)

    def slopes(self) -> Array:
        """Returns how steep the predictions are along each unstretched coordinate, mean squares, shape [d].

        Of the known points, and of the few directions in which values differ most.
        """
        count, dimensions = self._points.shape
        linear, length = self.smoothness.linear, self.smoothness.length
        witness = self._witness
        if witness.shape[1] > MOST_DIRECTIONS:
            witness = _root(witness @ witness.T)[:, -MOST_DIRECTIONS:]
        solved = self._inverse @ witness
        kernel = self._kernel(self._lengths, self._lengths, self._products, self.smoothness)
        bends = kernel - LEVEL - self._products * (linear * 12 / dimensions)
        bends /= length**2 * dimensions
        # Of the columns c, sum_n bends[i, n] (x[n, d] - x[i, d]) solved[n, c], and the straight lines' part.
        lines = (linear * 12 / dimensions) * (self._points.T @ solved)
        found = np.zeros(dimensions)
        for column, line in zip(solved.T, lines.T, strict=True):
            weighted = bends * column
            steep = weighted @ self._points - weighted.sum(axis=1)[:, None] * self._points + line
            found += np.einsum("nd,nd->d", steep, steep)
        return np.asarray(found * self.scales**2 / count, dtype=np.float64)

    def _likeliest(self, like: Smoothness | None) -> tuple[Smoothness, float]:
        """Goes downhill on the grid along one axis after the other, and along the first two again."""
        tried: dict[Smoothness, float] = {}

        def loss(one: Smoothness) -> float:
            if one not in tried:
                tried[one] = round(self._loss(one), 6)
            return tried[one]

        best = like or Smoothness(*FIRST)
        for axis in _AXES if like else (*_AXES, *_AXES[:2]):
            best = _downhill(best, axis, loss)
        return best, loss(best)

    def _loss(self, smoothness: Smoothness) -> float:
        """Returns the negative logarithm of the likelihood per witness, up to a constant."""
        factor = cho_factor(self._covariance(smoothness), lower=True, check_finite=False)
        variance = self._likeliest_variance(factor[0])
        return float(np.log(np.diag(factor[0])).sum() + len(self._points) / 2 * math.log(variance))

    def _likeliest_variance(self, lower: Array) -> float:
        halves = solve_triangular(lower, self._witness, lower=True, check_finite=False)
        squares = float(np.einsum("nc,nc->", halves, halves))
        return max(squares / (self._weight * len(self._points)), JITTER)

    def _factorize(self) -> None:
        factor = cho_factor(self._covariance(self.smoothness), lower=True, check_finite=False)
        self._inverse = cho_solve(factor, np.eye(len(self._points)), check_finite=False)
        self._solved = self._inverse @ self._values
        self._variance = self._likeliest_variance(factor[0])

    def _covariance(self, smoothness: Smoothness) -> Array:
        kernel = self._kernel(self._lengths, self._lengths, self._products, smoothness)
        kernel[np.diag_indices(len(kernel))] += smoothness.noise + JITTER
        return kernel

    def _kernel(self, lengths: Array, others: Array, products: Array, smoothness: Smoothness) -> Array:
        """Returns the kernel of points whose squared lengths and products from the middle are known."""
        dimensions = self._points.shape[1]
        bends = products * 2.0
        bends -= lengths[:, None]
        bends -= others[None, :]
        np.minimum(bends, 0.0, out=bends)
        bends *= 0.5 / (smoothness.length**2 * dimensions)
        np.exp(bends, out=bends)
        bends *= 1 - smoothness.linear
        bends += products * (smoothness.linear * 12 / dimensions)  # 1 for a random point and itself
        bends += LEVEL
        return bends


def with_relevance(points: Array, values: Array, counts: Array) -> GaussianProcess:
    """Returns a process whose coordinates are scaled by how much they matter, where that is likelier.

    Automatic relevance determination (Rasmussen and Williams, 2006, section 5.1) without a descent over d
    lengths: a coordinate matters as much as the predictions are steep along it, which changes the
    predictions; so again, while the known values become likelier.
    """
    best = GaussianProcess(points, values, counts)
    for _ in range(REFINEMENTS):
        slopes = best.slopes()
        usual = float(slopes.mean())
        if points.shape[1] < 2 or not usual > 0:
            break
        shares = (slopes / usual + EVEN) / (1 + EVEN)
        scales = np.clip(np.sqrt(shares / shares.mean()), FINEST, COARSEST)
        other = GaussianProcess(points, values, counts, scales=np.round(scales, 1), like=best.smoothness)
        if other.loss >= best.loss:
            break
        best = other
    return best


def _downhill(start: Smoothness, axis: str, loss: Callable[[Smoothness], float]) -> Smoothness:
    """Returns where along an axis of the grid the loss is less than on both sides."""
    line = [replace(start, **{axis: value}) for value in _GRID[axis]]
    place = line.index(start)
    for way in (1, -1):
        while 0 <= place + way < len(line) and loss(line[place + way]) < loss(line[place]):
            place += way
    return line[place]


def _root(gram: Array) -> Array:
    """Returns a square root of a positive semidefinite matrix, shape [n, n]."""
    values, vectors = np.linalg.eigh(gram)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
