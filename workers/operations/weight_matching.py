"""Weight matching: permutes hidden units so that two networks' weights agree as far as they can.

Ainsworth, Hayase and Srinivasa, "Git Re-Basin", arXiv:2209.04836, section 3.2 and algorithm 1.  A group
is a list of axes that share a permutation: reordering all of them together changes no output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from workers.errors import MismatchError

Group = tuple[tuple[str, int], ...]
"""(tensor, axis) pairs that share one permutation."""

SMALLEST_GAIN = 1e-12
MOST_SWEEPS = 100


@dataclass(frozen=True, slots=True)
class Matching:
    """How the second network's units are reordered.

    Attributes:
        permutations: One per group, int64 [units]: place i takes what was unit p[i].
        objective: Inner product of both networks' tensors after reordering, over all tensors given.
        sweeps: How often all groups were visited.
    """

    permutations: tuple[Tensor, ...]
    objective: float
    sweeps: int


def match_weights(
    first: Mapping[str, Tensor],
    second: Mapping[str, Tensor],
    groups: Sequence[Group],
    rng: np.random.Generator,
) -> Matching:
    """Returns permutations of the second network's units that bring it nearest to the first.

    Each step solves one group exactly, given all others; what comes out for several coupled groups is
    a local optimum that depends on the order in which they are visited, which the generator decides.

    Args:
        first: Tensors by name, of any shapes.
        second: Tensors of the same names and shapes.
        groups: Axes that share permutations.  A tensor may be in several groups, once per axis.
        rng: Decides the order of each sweep.

    Raises:
        MismatchError: Tensors or axes do not fit together.
    """
    _check(first, second, groups)
    current = dict(second)
    permutations = [torch.arange(_units(first, group)) for group in groups]
    sweeps, gained = 0, True
    while gained and sweeps < MOST_SWEEPS:
        sweeps, gained = sweeps + 1, False
        for number in rng.permutation(len(groups)):
            scores = similarity(first, current, groups[number])
            best = assign(scores)
            kept = torch.diagonal(scores).sum()
            if float(scores[torch.arange(len(best)), best].sum() - kept) > SMALLEST_GAIN * _scale(scores):
                current = permute(current, groups[number], best)
                permutations[number] = permutations[number][best]
                gained = len(groups) > 1  # a single group is solved exactly in one step
    return Matching(tuple(permutations), objective(first, current), sweeps)


def similarity(first: Mapping[str, Tensor], second: Mapping[str, Tensor], group: Group) -> Tensor:
    """Returns the inner products of the first's unit i and the second's unit j, float64 [units, units]."""
    total = torch.zeros(_units(first, group), _units(second, group), dtype=torch.float64)
    for name, axis in group:
        mine, theirs = (_rows(tensors[name], axis) for tensors in (first, second))
        total += (mine @ theirs.T).double().cpu()
    return total


def assign(scores: Tensor) -> Tensor:
    """Returns the permutation that maximizes the sum of scores[i, p[i]], int64 [units].

    Raises:
        MismatchError: A score is NaN or infinite, so that no assignment is best.
    """
    if not bool(torch.isfinite(scores).all()):
        raise MismatchError(
            "weight matching", "weights hold NaN or infinity, or are too large", "use another checkpoint"
        )
    _, columns = linear_sum_assignment(scores.numpy(), maximize=True)
    return torch.from_numpy(np.asarray(columns, dtype=np.int64))


def permute(tensors: Mapping[str, Tensor], group: Group, permutation: Tensor) -> dict[str, Tensor]:
    """Returns the tensors with one group's units reordered: place i takes unit permutation[i]."""
    result = dict(tensors)
    for name, axis in group:
        result[name] = result[name].index_select(axis, permutation.to(result[name].device))
    return result


def objective(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    """Returns the inner product of two networks' tensors."""
    return sum(
        float(torch.sum(tensor.double() * second[name].double())) for name, tensor in sorted(first.items())
    )


def _rows(tensor: Tensor, axis: int) -> Tensor:
    """Returns a matrix with one row per unit, float32 or wider."""
    wide = torch.promote_types(tensor.dtype, torch.float32)
    return tensor.movedim(axis, 0).unsqueeze(-1).flatten(start_dim=1).to(wide)


def _units(tensors: Mapping[str, Tensor], group: Group) -> int:
    name, axis = group[0]
    return tensors[name].shape[axis]


def _scale(scores: Tensor) -> float:
    """What a gain is measured against: rounding of large sums must not look like a gain forever."""
    return max(1.0, float(scores.abs().max())) if scores.numel() else 1.0


def _check(first: Mapping[str, Tensor], second: Mapping[str, Tensor], groups: Sequence[Group]) -> None:
    remedy = "match networks of one architecture and size"
    for name in sorted(first.keys() | second.keys()):
        shapes = [tuple(t[name].shape) if name in t else None for t in (first, second)]
        if shapes[0] != shapes[1]:
            raise MismatchError(name, f"has shapes {shapes[0]} and {shapes[1]}", remedy)
    for group in groups:
        if not group:
            raise MismatchError("groups", "a permutation group has no axes", "name at least one")
        for name, axis in group:
            if name not in first or not -first[name].dim() <= axis < first[name].dim():
                raise MismatchError(name, f"has no axis {axis}", "name axes that exist")
        sizes = {first[name].shape[axis] for name, axis in group}
        if len(sizes) > 1:
            raise MismatchError(str(group), f"axes have different lengths {sorted(sizes)}", remedy)
