"""Sign election: every entry keeps only the contributions that point where the majority points.

Yadav et al., "TIES-Merging", arXiv 2306.01708, algorithm 1, steps 2 and 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workers.merging.arithmetic.task_vectors import Sparsifier, base_tensor, weighted_task_vectors
from workers.merging.kernel import Ingredients


class _Camps:
    """The contributions above and below zero, kept apart.

    With v_i = w_i d_i, P = sum of the positive v_i and N = sum of the negative ones, the elected
    sum is P where sum_i v_i >= 0 and N elsewhere.  So no v_i need be kept until the sign is known,
    and memory does not grow with the number of parents.  The same goes for the largest v_i.
    """

    def __init__(self, like: Tensor, *, merge_function: str, normalize: bool) -> None:
        self.total, self.above, self.below = (torch.zeros_like(like) for _ in range(3))
        self._largest = merge_function == "max"
        self._weights: list[float] = []
        divided = merge_function == "mean" and normalize
        self._shares = (torch.zeros_like(like), torch.zeros_like(like)) if divided else None

    def add(self, weight: float, delta: Tensor) -> None:
        """Takes in one parent's contribution; overwrites `delta`."""
        contribution = delta.mul_(weight)
        self.total += contribution
        if self._shares is not None:
            self._weights.append(weight)
            self._shares[0].add_(contribution > 0, alpha=weight)
            self._shares[1].add_(contribution < 0, alpha=weight)
        positive = contribution.clamp(min=0.0)
        negative = contribution.sub_(positive)
        if self._largest:
            self.above = torch.maximum(self.above, positive, out=positive)
            self.below = torch.minimum(self.below, negative, out=self.below)
        else:
            self.above += positive
            self.below += negative

    def elected(self, at_zero: float = 1.0) -> Tensor:
        """Returns the contributions [...] with the elected sign, merged; a tie elects `at_zero`."""
        # NaN must stay in the result, where it is found: `total < 0` is false there and `above` is NaN.
        lost = self.total < 0
        if at_zero < 0.0:
            lost |= self.total == 0.0
        merged = torch.where(lost, self.below, self.above)
        if self._shares is not None:
            divisor = torch.where(lost, self._shares[1], self._shares[0])
            smallest = 1e-6 * sum(abs(weight) for weight in self._weights)
            merged /= divisor.masked_fill_(divisor.abs() <= smallest, 1.0)
        return merged


def merge_by_elected_sign(
    ingredients: Ingredients, sparsify: Sparsifier, *, merge_function: str = "mean", at_zero: float = 1.0
) -> Tensor:
    """Returns W_0 + lambda sum_i m_i w_i d_i; with `normalize`, divided by sum_i m_i w_i elementwise.

    m_i [...] is 1 where w_i d_i has the sign of sum_j w_j d_j and 0 elsewhere, also where d_i is exactly
    zero.  Where no parent takes part, or weights of both signs cancel, nothing is divided.

    Args:
        ingredients: Of the merged tensor.
        sparsify: Thins the task vectors out.
        merge_function: `mean` is the above; `sum` is never divided; `max` is the m_i w_i d_i of largest
            magnitude.
        at_zero: The sign that is elected where sum_j w_j d_j is zero.
    """
    base = base_tensor(ingredients)
    camps = _Camps(base, merge_function=merge_function, normalize=bool(ingredients.shared["normalize"]))
    for weight, delta in weighted_task_vectors(ingredients, base, sparsify):
        camps.add(weight, delta)
    return camps.elected(at_zero).mul_(ingredients.shared["lambda"]).add_(base)
