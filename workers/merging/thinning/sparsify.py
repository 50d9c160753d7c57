"""Sparsifiers: which entries of a task vector are kept.  They work in place.

Entries are ranked by magnitude, largest first; among equal magnitudes the one that comes first in
memory ranks first.  NaN and infinity are never dropped, whatever their rank: a broken parent must show
in the merged tensor.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workers.merging.arithmetic.precision import chunk_length
from workers.merging.thinning.counter_random import random_words
from workers.merging.thinning.order_statistics import largest_magnitudes

# Longer vectors are counted by their bits: selecting is slow where many entries are equal, as in bfloat16.
_COUNTED_FROM = 1 << 18


def share_of(count: int, share: float) -> int:
    """Returns floor(share * count), multiplied in float64 as the reference implementations do."""
    return int(share * count)


def rows_of(delta: Tensor) -> Tensor:
    """Returns a view [rows, entries] along the last dimension; a vector is one row."""
    if delta.dim() < 2:
        return delta.view(1, -1)
    return delta.view(delta.numel() // max(delta.shape[-1], 1), delta.shape[-1])


def keep_largest(delta: Tensor, density: float, *, by_row: bool = False) -> Tensor:
    """Keeps the k = floor(density * N) entries of largest magnitude, at least one.

    Args:
        delta: [...] contiguous, N elements, overwritten.
        density: In (0, 1).
        by_row: Ranks and counts every row (last dimension) for itself.
    """
    entries = rows_of(delta).shape[1] if by_row else delta.numel()
    return keep_ranks(delta, 0, max(1, share_of(entries, density)), by_row=by_row)


def keep_ranks(delta: Tensor, first: int, stop: int, *, by_row: bool = False) -> Tensor:
    """Keeps the entries whose rank is in [first, stop); rank 0 has the largest magnitude.

    Args:
        delta: [...] contiguous, overwritten.
        first: The first rank that is kept.
        stop: The first rank after those; an empty range drops all that is finite.
        by_row: Ranks every row (last dimension) for itself.
    """
    if delta.numel() == 0:
        return delta
    rows = rows_of(delta) if by_row else delta.view(1, -1)
    magnitude = rows.abs().nan_to_num_(nan=torch.inf, posinf=torch.inf)
    kept = _ranked_before(magnitude, stop)
    if first > 0:
        kept &= _ranked_before(magnitude, first).logical_not_()
    kept |= magnitude.isinf()
    rows.masked_fill_(kept.logical_not_(), 0.0)
    return delta


def keep_between(delta: Tensor, low: float, high: float) -> Tensor:
    """Keeps the entries of magnitude low ... high, both included, and so all that are equal to a bound.

    Args:
        delta: [...], overwritten.
        low: The least magnitude that is kept.
        high: The greatest; above it only finite entries are dropped.
    """
    magnitude = delta.abs()
    dropped = magnitude < low  # false for NaN
    dropped |= (magnitude > high) & torch.isfinite(magnitude)
    return delta.masked_fill_(dropped, 0.0)


def drop_smallest(delta: Tensor, count: int) -> Tensor:
    """Drops the `count` entries of smallest magnitude and all that are equal to the largest of them.

    Args:
        delta: [...] contiguous, overwritten.
        count: 0 drops nothing.
    """
    if min(count, delta.numel()) == 0:
        return delta
    magnitude = delta.abs().view(1, -1)
    threshold = float(_ascending(magnitude, min(count, delta.numel()) - 1))
    return delta.masked_fill_((magnitude <= threshold).view_as(delta) & torch.isfinite(delta), 0.0)


def keep_at_random(delta: Tensor, density: float, seed: int) -> Tensor:
    """Keeps each entry with probability `density`, independently.

    Args:
        delta: [...] contiguous, N elements, overwritten.
        density: In (0, 1); resolved to 2^-16.
        seed: Of the mask, 64 bits; entry i is kept or not by (seed, i) alone.
    """
    flat = delta.view(-1)
    bound = random_bound(density)
    length = chunk_length(flat.device)
    for start in range(0, flat.numel(), length):
        part = flat[start : start + length]
        part.mul_(random_words(seed, start, part.numel(), device=part.device) < bound)
    return delta


def keep_at_random_by_rank(delta: Tensor, density: float, epsilon: float, seed: int) -> Tensor:
    """Keeps each entry with a probability that rises with its magnitude's rank in its row.

    In a row of C entries the smallest is kept with probability `density - epsilon`, the largest with
    `density + epsilon`, the others evenly between; the entry of a row that has but one with `density`.

    Args:
        delta: [..., C] contiguous, overwritten; a vector is one row.
        density: In (0, 1); resolved to 2^-16.
        epsilon: How far the probabilities go up and down; resolved likewise.
        seed: As in `keep_at_random`.
    """
    if delta.numel() == 0:
        return delta
    rows = rows_of(delta)
    width = rows.shape[1]
    bounds = (rank_shifts(epsilon, width).to(rows.device) << 16) + random_bound(density)
    step = max(1, chunk_length(rows.device) // width)
    for start in range(0, rows.shape[0], step):
        part = rows[start : start + step]
        order = part.abs().sort(dim=1, descending=True, stable=True).indices
        bound = torch.empty_like(part, dtype=torch.int64).scatter_(1, order, bounds.expand_as(part))
        words = random_words(seed, start * width, part.numel(), device=part.device).view_as(part)
        part.masked_fill_((words >= bound) & torch.isfinite(part), 0.0)
    return delta


def random_code(probability: float) -> int:
    """Returns how many of 2^16 equal shares of the random words make up this probability.

    So coarse, that whatever depends on which entries a probability keeps fits into a table.
    """
    return min(round(probability * 2**16), 2**16 - 1)


def random_bound(probability: float) -> int:
    """Returns the bound below which a word of `random_words` falls with this probability."""
    # The words are uniform over [-2^31, 2^31), so that an integer comparison decides alike everywhere.
    return (random_code(probability) << 16) - 2**31


def rank_shifts(epsilon: float, width: int) -> Tensor:
    """Returns by how many shares every rank's probability lies above the density, int64 [width].

    Ranks go from the largest magnitude to the smallest; made on the CPU.
    """
    ranks = torch.arange(width, dtype=torch.float64)
    centred = (width - 1 - 2 * ranks) / max(width - 1, 1)
    return (epsilon * 2**16 * centred).round_().to(torch.int64)


def _ranked_before(magnitude: Tensor, count: int) -> Tensor:
    """Returns a mask [rows, entries] of the `count` first ranks of every row; zeros may be too many."""
    entries = magnitude.shape[1]
    if count <= 0 or count >= entries:
        return torch.full_like(magnitude, count > 0, dtype=torch.bool)
    threshold = _ascending(magnitude, entries - count)[:, None]
    before = magnitude >= threshold
    surplus = before.sum(dim=1) - count  # as large as the last that is kept, but later in memory
    # Where the threshold is zero, whatever else is kept is zero already.
    crowded = (surplus > 0).logical_and_(threshold.view(-1) > 0.0).nonzero().view(-1)
    step = max(1, chunk_length(magnitude.device) // entries)
    for start in range(0, len(crowded), step):
        rows = crowded[start : start + step]
        level = magnitude[rows] == threshold[rows]
        allowed = level.sum(dim=1) - surplus[rows]
        late = level.cumsum(dim=1) > allowed[:, None]
        before[rows] &= late.logical_and_(level).logical_not_()
    return before


def _ascending(magnitude: Tensor, position: int) -> Tensor:
    """Returns every row's value at this position in ascending order, [rows]."""
    rows, entries = magnitude.shape
    if rows == 1 and entries > _COUNTED_FROM:
        (value,) = largest_magnitudes(lambda: [magnitude], [entries - 1 - position])
        return magnitude.new_tensor([value])
    if magnitude.device.type != "cpu":
        return magnitude.kthvalue(position + 1, dim=1).values
    values = magnitude.numpy().copy()  # numpy selects thirty times faster than torch's kthvalue
    values.partition(position, axis=1)
    return torch.from_numpy(values[:, position].copy())
