"""What `statistics.py` knows of a tensor's inputs, found with torch where they lie: on any device.

The same numbers come out: magnitudes are ranked by their bits, lengths are sums of whole numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from workers.merging.arithmetic.precision import chunk_length
from workers.merging.fast.selection.selection_masks import ALL_CODES, Criterion, SelectionMask
from workers.merging.fast.statistics.magnitudes import Level, MagnitudeTable
from workers.merging.fast.statistics.tensor_statistics import TensorStatistics
from workers.merging.fast.storage import Array
from workers.merging.thinning.counter_random import random_words
from workers.merging.thinning.sparsify import rank_shifts

_OFFSET = 1 << 15  # words are signed, keys are not


class DeviceStatistics(TensorStatistics):
    """TensorStatistics whose parents and base are flat tensors on one device."""

    __slots__ = ()

    def _make_table(self, parent: int) -> MagnitudeTable:
        sizes = torch.cat([bits_of(self._delta(parent, part)) for part in self._parts()])
        ranked = sizes.sort(descending=True).values
        found, counts = torch.unique_consecutive(ranked, return_counts=True)
        return MagnitudeTable(found.cpu().numpy().view(np.uint32), counts.cumsum(0).cpu().numpy())

    def _find_tie(self, parent: int, level: Level, among: int) -> int:
        for part in self._parts():
            places = (bits_of(self._delta(parent, part)) == level.bits).nonzero().view(-1)
            if len(places) >= among:
                return int(part.start) + int(places[among - 1]) + 1
            among -= len(places)
        return self.count

    def _find_peak(self, parent: int) -> float:
        largest = torch.stack([bits_of(self._delta(parent, part)).max() for part in self._parts()]).max()
        return float(np.uint32(int(largest)).view(np.float32))

    def _lengths(self, parent: int, kept: SelectionMask) -> Array:
        """The table of lengths by code, int64 [2^16 + 1]."""
        epsilon = self.plan.per_parent["epsilon"][parent] if kept.criterion is Criterion.BY_KEY else None
        key = ("lengths by code", *self._vector(parent), self.plan.seeds[parent], kept.criterion, epsilon)
        return self._remembered(key, lambda: self._sum_by_code(parent, kept), lambda found: found.nbytes)

    def _sum_by_code(self, parent: int, kept: SelectionMask) -> Array:
        sums = torch.zeros(ALL_CODES, dtype=torch.int64, device=self.base.device)
        for part in self._parts():
            sums.index_add_(0, self._codes(parent, kept, part), self._in_units(parent, part))
        return np.concatenate((np.zeros(1, np.int64), sums.cumsum(0).cpu().numpy()))

    def _count_length(self, parent: int, kept: SelectionMask) -> int:
        total = 0
        for part in self._parts():
            lengths = self._in_units(parent, part)
            if kept.criterion is Criterion.BY_MAGNITUDE:
                inside = self._inside(parent, kept, part)
            else:
                inside = self._codes(parent, kept, part) < kept.code
            total += int((lengths * inside).sum())
        return total

    def _inside(self, parent: int, kept: SelectionMask, part: slice) -> Tensor:
        """Says of each entry whether its magnitude is kept."""
        sizes = bits_of(self._delta(parent, part)).to(torch.int64)
        index = torch.arange(part.start, part.start + len(sizes), device=sizes.device)
        (least, kept_until), (most, dropped_until) = kept.least, kept.most
        enough = (sizes > least) | ((sizes == least) & (index < kept_until))
        return enough & ((sizes < most) | ((sizes == most) & (index >= dropped_until)))

    def _codes(self, parent: int, kept: SelectionMask, part: slice) -> Tensor:
        """Returns the number of each entry, below 2^16, that a probability's code is compared with."""
        if kept.criterion is Criterion.BY_KEY:
            keys: Tensor = kept.keys[part].to(torch.int64)
            return keys + _OFFSET
        length = len(self.base[part])
        words = random_words(self.plan.seeds[parent], part.start, length, device=self.base.device)
        return (words.to(torch.int64) >> 16) + _OFFSET

    def _make_keys(self, parent: int, epsilon: float) -> Tensor:
        """Returns keys less 2^15, int16 [entries]."""
        width = self.plan.shape[-1] if self.plan.shape else 1
        shifts = rank_shifts(epsilon, width).to(self.base.device)
        keys = torch.empty(self.count, dtype=torch.int16, device=self.base.device)
        rows = max(1, chunk_length(self.base.device) // width) * width
        for start in range(0, self.count, rows):
            part = slice(start, min(start + rows, self.count))
            sizes = bits_of(self._delta(parent, part)).view(-1, width)
            order = sizes.sort(dim=1, descending=True, stable=True).indices
            worth = torch.empty_like(order).scatter_(1, order, shifts.expand_as(order)).view(-1)
            words = random_words(self.plan.seeds[parent], start, len(worth), device=self.base.device)
            keys[part] = ((words.to(torch.int64) >> 16) - worth).clamp_(-_OFFSET, _OFFSET - 1)
        return keys

    def _in_units(self, parent: int, part: slice) -> Tensor:
        """Returns magnitudes in whole units, int64; broken ones count as nothing, they have no units."""
        return (self._delta(parent, part).abs().double() * self._units(parent)).nan_to_num_().to(torch.int64)

    def _delta(self, parent: int, part: slice) -> Tensor:
        own: Tensor = self.parents[parent][part].float()
        return own.sub(self.base[part].float())

    def _parts(self) -> Iterator[slice]:
        length = chunk_length(self.base.device)
        return (slice(start, min(start + length, self.count)) for start in range(0, self.count, length))


def bits_of(delta: Tensor) -> Tensor:
    """Returns the magnitudes of float32 numbers as bits, int32; they rank as the numbers do."""
    return delta.abs().view(torch.int32)
