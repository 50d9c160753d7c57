"""Mean and standard deviation of a vector that is read in parts.

Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
COMPSTAT 1982, equations 2.1.  Sums run row by row in float64, so that the number of threads changes no bit.
"""

from __future__ import annotations

import math

from torch import Tensor

from workers.merging.arithmetic.precision import chunk_length

_ROW = 4096


class Moments:
    """Count, mean and squared deviations from the mean of all entries so far."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, part: Tensor) -> None:
        """Takes a part [...] of the vector in."""
        flat = part.reshape(-1)
        length = chunk_length(flat.device)
        for start in range(0, flat.numel(), length):
            chunk = flat[start : start + length].double()
            mean = _sum(chunk) / chunk.numel()
            self._join(chunk.numel(), mean, _sum(chunk.sub_(mean).square_()))

    def deviation(self) -> float:
        """Returns the standard deviation with n - 1 in the denominator; 0 for fewer than two entries."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else 0.0

    def _join(self, count: int, mean: float, squares: float) -> None:
        total, step = self.count + count, mean - self.mean
        self.squares += squares + step * step * self.count * count / total
        self.mean += step * count / total
        self.count = total


def _sum(chunk: Tensor) -> float:
    whole = chunk.numel() // _ROW * _ROW
    rows = chunk[:whole].view(-1, _ROW).sum(dim=1)
    return float(rows.sum() + chunk[whole:].sum())
