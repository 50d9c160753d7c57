"""Sign election: every entry keeps only the contributions that point where the majority points.

Yadav et al., "TIES-Merging", arXiv 2306.01708, algorithm 1, steps 2 and 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workers.merging.kernel import Ingredients
from workers.merging.task_vectors import Sparsifier, base_tensor, weighted_task_vectors


class _Camps:
    """The contributions above and below zero, kept apart.

    With v_i = w_i d_i, P = sum of the positive v_i and N = sum of the negative ones, the elected
    sum is P where sum_i v_i >= 0 and N elsewhere.  So no v_i need be kept until the sign is known,
    and memory does not grow with the number of parents.
    """

    def __init__(self, like: Tensor, *, normalize: bool) -> None:
        self.total, self.above, self.below = (torch.zeros_like(like) for _ in range(3))
        self._weights: list[float] = []
        self._shares = (torch.zeros_like(like), torch.zeros_like(like)) if normalize else None

    def add(self, weight: float, delta: Tensor) -> None:
        """Takes in one parent's contribution; overwrites `delta`."""
        contribution = delta.mul_(weight)
        self.total += contribution
        if self._shares is not None:
            self._weights.append(weight)
            self._shares[0].add_(contribution > 0, alpha=weight)
            self._shares[1].add_(contribution < 0, alpha=weight)
        positive = contribution.clamp(min=0.0)
        self.above += positive
        self.below += contribution.sub_(positive)

    def elected(self) -> Tensor:
        """Returns the sum [...] of the contributions with the elected sign; a tie elects plus."""
        # NaN must stay in the result, where it is found: `total < 0` is false there and `above` is NaN.
        lost = self.total < 0
        merged = torch.where(lost, self.below, self.above)
        if self._shares is not None:
            divisor = torch.where(lost, self._shares[1], self._shares[0])
            smallest = 1e-6 * sum(abs(weight) for weight in self._weights)
            merged /= divisor.masked_fill_(divisor.abs() <= smallest, 1.0)
        return merged


def merge_by_elected_sign(ingredients: Ingredients, sparsify: Sparsifier) -> Tensor:
    """Returns W_0 + lambda sum_i m_i w_i d_i; with `normalize`, divided by sum_i m_i w_i elementwise.

    m_i [...] is 1 where w_i d_i has the sign of sum_j w_j d_j (plus where that is zero) and 0
    elsewhere, also where d_i is exactly zero.  Where nobody takes part, or weights of both signs
    cancel, nothing is divided.
    """
    base = base_tensor(ingredients)
    camps = _Camps(base, normalize=bool(ingredients.shared["normalize"]))
    for weight, delta in weighted_task_vectors(ingredients, base, sparsify):
        camps.add(weight, delta)
    return camps.elected().mul_(ingredients.shared["lambda"]).add_(base)
