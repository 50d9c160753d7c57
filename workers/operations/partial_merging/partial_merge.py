"""PLeaS: merges matched units of two models' MLPs and keeps the worst-matched units of both.

Nasery, Hayase, Koh and Oh, "PLeaS -- Merging Models with Permutations and Least Squares",
arXiv:2407.02447, sections 3.1 (partial matching) and 3.2 (least squares).  Units are laid out as
[merged, separate of the first, separate of the second].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.errors import MergeError

SMALLEST_RIDGE = 1e-6


@dataclass(frozen=True, slots=True)
class Partition:
    """Which units of two models are merged with each other, and which stay apart.

    Attributes:
        merged_first: int64 [merged], units of the first model.
        merged_second: int64 [merged], the second model's units that they are averaged with.
        separate_first: int64 [separate].
        separate_second: int64 [separate].
    """

    merged_first: Tensor
    merged_second: Tensor
    separate_first: Tensor
    separate_second: Tensor

    @property
    def width(self) -> int:
        """How many units the merged layer has."""
        return len(self.merged_first) + len(self.separate_first) + len(self.separate_second)


def partition_units(scores: Tensor, permutation: Tensor, ratio: float) -> Partition:
    """Returns which units stay apart: those whose match scores least.

    The paper keeps the units whose score lies below the `ratio` quantile (interpolated linearly) apart.
    Where scores are equal that number would depend on the scores; here it does not, so that all
    layers of a model come out equally wide: of equal scores the first units stay apart.

    Args:
        scores: Inner products of the first's unit i and the second's unit j before reordering,
            [units, units].
        permutation: The first's unit i is matched with the second's permutation[i], int64 [units].
        ratio: Share of units that stay apart, 0 (merge all) to 1.

    Raises:
        MergeError: The ratio lies outside 0 to 1, or a score is no number.
    """
    apart = units_apart(len(permutation), ratio)
    matched = scores[torch.arange(len(permutation)), permutation]
    if not bool(torch.isfinite(matched).all()):
        raise MergeError("scores", "hold NaN or infinity", "use another checkpoint")
    order = torch.argsort(matched, stable=True)
    separate, merged = order[:apart].sort().values, order[apart:].sort().values
    return Partition(merged, permutation[merged], separate, permutation[separate])


def units_apart(units: int, ratio: float) -> int:
    """Returns how many units of each model stay apart: those below the `ratio` quantile.

    Raises:
        MergeError: The ratio lies outside 0 to 1.
    """
    if not 0.0 <= ratio <= 1.0:
        raise MergeError("ratio", f"is {ratio}, not within 0 to 1", "give the share of units to keep apart")
    return math.ceil(round(ratio * max(units - 1, 0), 9))  # rounded, because 0.1 * 3 is more than 0.3


def merge_producer(first: Tensor, second: Tensor, partition: Partition, axis: int) -> Tensor:
    """Returns a tensor whose `axis` counts the units that it computes: averages, then both's own.

    Args:
        first: Any shape; the first model's rows, or biases.
        second: The same shape, the second's as they were before reordering.
        partition: Which units are merged.
        axis: Along which units are counted.
    """
    return torch.cat(_parts(first, second, partition, axis), dim=axis)


def merge_consumer(
    first: Tensor, second: Tensor, partition: Partition, axis: int, *, share: float = 0.5
) -> Tensor:
    """Returns a tensor whose `axis` counts the units that it reads: averages, then a share of both's own.

    With half of each, what it writes is the average of what both models write, as it must be where
    both write into one residual stream.  The authors' code does so for layers whose outputs are
    merged, and takes the whole (`share=1`) for the last layer of a classifier.
    """
    merged, *separate = _parts(first, second, partition, axis)
    return torch.cat([merged, *(part * share for part in separate)], dim=axis)


def fit_output(gram: Tensor, cross: Tensor, ridge: float = SMALLEST_RIDGE) -> Tensor:
    """Returns the output projection that best reproduces given outputs from given hidden units.

    PLeaS step 2 in closed form: W = argmin sum over x of |W z(x) - y(x)|^2 = ((Z^T Z + e I)^-1 Z^T Y)^T,
    e being `ridge` times the mean of the diagonal of Z^T Z.

    Args:
        gram: Z^T Z of the merged layer's hidden units, [hidden, hidden].
        cross: Z^T Y with the outputs wanted (the average of the parents'), [hidden, out].
        ridge: Keeps units that were never active from exploding; they get zero weight.

    Returns:
        float64 [out, hidden].

    Raises:
        MergeError: Shapes do not fit, or a value is no number.
    """
    if gram.dim() != 2 or gram.shape[0] != gram.shape[1] or cross.dim() != 2 or len(cross) != len(gram):
        detail = f"have shapes {list(gram.shape)} and {list(cross.shape)}"
        raise MergeError("gram and cross", detail, "give [hidden, hidden] and [hidden, out]")
    if not bool(torch.isfinite(gram).all() and torch.isfinite(cross).all()):
        raise MergeError("gram and cross", "hold NaN or infinity", "record them again")
    wide = gram.double()
    strength = ridge * float(wide.diagonal().mean()) if len(wide) else 0.0
    if strength == 0.0:  # nothing was ever active, or no ridge is wanted: the smallest solution
        solution: Tensor = torch.linalg.pinv(wide, hermitian=True) @ cross.double()
        return solution.T.contiguous()
    regular = wide + strength * torch.eye(len(wide), dtype=torch.float64, device=wide.device)
    solution = torch.linalg.solve(regular, cross.double())
    return solution.T.contiguous()


def _parts(first: Tensor, second: Tensor, partition: Partition, axis: int) -> list[Tensor]:
    wide = torch.promote_types(first.dtype, torch.float32)
    mine, theirs = first.to(wide), second.to(wide)
    together = mine.index_select(axis, partition.merged_first)
    together = (together + theirs.index_select(axis, partition.merged_second)) / 2
    return [
        together,
        mine.index_select(axis, partition.separate_first),
        theirs.index_select(axis, partition.separate_second),
    ]
