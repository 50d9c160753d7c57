"""M-SMoE: merges a mixture's experts into fewer, guided by how often the router uses each.

Li et al., "Merge, Then Compress: Demystify Efficient SMoE with Hints from Its Routing Policy",
arXiv:2310.01334, section 3.2 (permutation alignment, grouping by the routing policy, weighted merging).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workers.errors import MergeError

SMALLEST_USE = 1e-7


def group_experts(frequencies: Tensor, similarity: Tensor, count: int) -> Tensor:
    """Returns the group of each expert, int64 [experts].

    The `count` most used experts are dominant and make a group each, numbered in the order of the
    experts; every other expert joins the dominant one that it is most similar to.  Of equal ones the
    first counts.

    Args:
        frequencies: How often each expert is used, [experts], at least 0.
        similarity: Of experts, [experts, experts]; larger is more alike.
        count: Groups wanted, 1 to the number of experts.

    Raises:
        MergeError: Shapes do not fit, a number is NaN, or there are not so many experts.
    """
    experts = len(frequencies)
    if frequencies.dim() != 1 or tuple(similarity.shape) != (experts, experts):
        detail = f"have shapes {list(frequencies.shape)} and {list(similarity.shape)}"
        raise MergeError("frequencies and similarity", detail, "give [experts] and [experts, experts]")
    if not 1 <= count <= experts:
        raise MergeError("experts", f"is {count}, there are {experts}", f"ask for 1 to {experts}")
    usable = (
        torch.isfinite(frequencies).all() and torch.isfinite(similarity).all() and (frequencies >= 0).all()
    )
    if not bool(usable):
        raise MergeError("routing", "holds NaN, infinity or negative frequencies", "calibrate again")
    order = torch.argsort(frequencies, descending=True, stable=True)
    dominant = order[:count].sort().values
    groups = similarity[:, dominant].argmax(dim=1)
    groups[dominant] = torch.arange(count)
    return groups


def dominant_experts(frequencies: Tensor, groups: Tensor) -> list[int]:
    """Returns the most used expert of each group, in the order of the groups; of equal ones the first."""
    found = []
    for group in range(int(groups.max()) + 1):
        members = torch.nonzero(groups == group).reshape(-1)
        found.append(int(members[torch.argmax(frequencies[members])]))
    return found


def weighted_expert(tensors: Sequence[Tensor], frequencies: Sequence[float]) -> Tensor:
    """Returns the experts' sum weighted by use, sum of f W / (sum of f + 1e-7), float32 or wider.

    Args:
        tensors: The same tensor of each expert of a group, hidden units in the dominant one's order
            (`match_weights`).
        frequencies: How often each is used.

    Raises:
        MergeError: No text used any of them, so that they have no weights.
    """
    total = sum(frequencies)
    if total <= 0.0:
        raise MergeError(
            "routing",
            "an expert group was used by no text at all",
            "calibrate on more texts, or ask for fewer experts",
        )
    wide = torch.promote_types(tensors[0].dtype, torch.float32)
    merged = torch.zeros(tensors[0].shape, dtype=wide, device=tensors[0].device)
    for tensor, frequency in zip(tensors, frequencies, strict=True):
        merged.add_(tensor.to(wide), alpha=frequency)
    return merged.div_(total + SMALLEST_USE)


def row_similarity(router: Tensor) -> Tensor:
    """Returns the cosine of a router's rows, float64 [experts, experts]: what is known without texts."""
    rows = torch.nn.functional.normalize(router.double(), dim=1)
    return rows @ rows.T
