"""Sparsifiers: which entries of a task vector are kept.  They work in place.

NaN and infinity are never dropped: a broken parent must show in the merged tensor.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workers.merging.counter_random import random_words
from workers.merging.precision import chunk_length


def keep_largest(delta: Tensor, density: float, seed: int = 0) -> Tensor:  # noqa: ARG001 - nothing is drawn
    """Keeps the k = floor(density * N) entries of largest magnitude, at least one.

    Exactly k: among entries as large as the k-th, those that come first in memory are kept.

    Args:
        delta: [...] contiguous, N elements, overwritten.
        density: In (0, 1).
        seed: Not used.
    """
    flat = delta.view(-1)
    count = max(1, int(density * flat.numel()))
    threshold, magnitude = _kth_largest(flat, count)
    if threshold == 0.0:
        return delta  # all that would go is zero already
    dropped = magnitude < threshold  # false for NaN
    surplus = flat.numel() - int(dropped.count_nonzero()) - count
    flat.masked_fill_(dropped, 0.0)
    if surplus > 0:
        level = (magnitude == threshold).nonzero().view(-1)
        flat[level[len(level) - surplus :]] = 0.0
    return delta


def keep_at_random(delta: Tensor, density: float, seed: int) -> Tensor:
    """Keeps each entry with probability `density`, independently.

    Args:
        delta: [...] contiguous, N elements, overwritten.
        density: In (0, 1); resolved to 2^-32.
        seed: Of the mask, 64 bits; entry i is kept or not by (seed, i) alone.
    """
    flat = delta.view(-1)
    # The words are uniform over [-2^31, 2^31), so that an integer comparison decides alike everywhere.
    bound = min(round(density * 2**32), 2**32 - 1) - 2**31
    length = chunk_length(flat.device)
    for start in range(0, flat.numel(), length):
        part = flat[start : start + length]
        part.mul_(random_words(seed, start, part.numel(), device=part.device) < bound)
    return delta


def _kth_largest(flat: Tensor, k: int) -> tuple[float, Tensor]:
    """Returns the k-th largest magnitude and all magnitudes [N]."""
    magnitude = flat.abs()
    position = flat.numel() - k
    if flat.device.type != "cpu":
        return float(magnitude.kthvalue(position + 1).values), magnitude
    values = magnitude.numpy()  # numpy selects thirty times faster than torch's kthvalue
    values.partition(position)
    threshold = float(values[position])
    return threshold, torch.abs(flat, out=magnitude)
