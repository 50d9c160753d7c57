"""Exact order statistics of a vector that is too long for memory: a radix select over chunks.

Magnitudes are ordered as float64 numbers are by their bits, so any finite count of passes over the
vector, each counting one group of bits among the entries that agree in the bits above, finds the k-th
largest exactly.  The 34 highest bits hold every bit of a number that came from float32 or less, so that
two passes suffice for those.  Memory is a histogram per wanted rank, whatever the vector's length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from workers.merging.arithmetic.precision import chunk_length

# (lowest bit, bits) of every group, from the top; the sign is not there.
_GROUPS = ((46, 17), (29, 17), (14, 15), (0, 14))
_FLOAT32_BITS_FROM = 29


@dataclass(slots=True)
class _Search:
    """One wanted rank: the bits found so far, and how many entries are still above it among equals."""

    rank: int
    bits: int = 0
    counts: Tensor | None = field(default=None, repr=False)

    def count(self, bits: Tensor, lowest: int, width: int) -> None:
        """Counts a chunk's entries that agree in the bits above, by this group's bits."""
        above = lowest + width
        agreeing = bits[(bits >> above) == (self.bits >> above)]
        group = (agreeing >> lowest) & ((1 << width) - 1)
        found = torch.bincount(group, minlength=1 << width).cpu()
        self.counts = found if self.counts is None else self.counts.add_(found)

    def narrow(self, lowest: int) -> None:
        """Fixes this group's bits: those of the bin in which the rank falls, counted from the top."""
        assert self.counts is not None  # noqa: S101 - for the type checker
        descending = self.counts.flip(0)
        reached = descending.cumsum(0)
        place = int(torch.searchsorted(reached, self.rank, right=True))
        self.rank -= int(reached[place] - descending[place])
        self.bits |= (len(descending) - 1 - place) << lowest
        self.counts = None

    def value(self) -> float:
        """Returns the magnitude whose bits were found."""
        return float(np.array(self.bits, dtype=np.int64).view(np.float64))


def largest_magnitudes(chunks: Callable[[], Iterable[Tensor]], ranks: Sequence[int]) -> tuple[float, ...]:
    """Returns, for every rank, the magnitude that has it: rank 0 is the largest.  NaN ranks first.

    Args:
        chunks: Gives the vector's parts [...], in any order, every time anew; called two to four times.
        ranks: Each smaller than the vector's length.
    """
    return largest_of_several(lambda: ((0, chunk) for chunk in chunks()), [ranks])[0]


def largest_of_several(
    chunks: Callable[[], Iterable[tuple[int, Tensor]]], ranks: Sequence[Sequence[int]]
) -> list[tuple[float, ...]]:
    """Returns `largest_magnitudes` of several vectors that are read together.

    Args:
        chunks: Gives (which vector, a part of it), every time anew.
        ranks: The wanted ranks of every vector, each smaller than its length.
    """
    searches = [[_Search(rank) for rank in wanted] for wanted in ranks]
    wide = False
    for lowest, width in _GROUPS:
        if lowest < _FLOAT32_BITS_FROM and not wide:
            break
        for vector, chunk in chunks():
            wide |= chunk.dtype == torch.float64
            if searches[vector]:
                _count(chunk, searches[vector], lowest, width)
        for search in (search for wanted in searches for search in wanted):
            search.narrow(lowest)
    return [tuple(search.value() for search in wanted) for wanted in searches]


def _count(chunk: Tensor, searches: Sequence[_Search], lowest: int, width: int) -> None:
    flat = chunk.reshape(-1)
    length = chunk_length(flat.device)
    for start in range(0, flat.numel(), length):
        bits = flat[start : start + length].double().view(torch.int64).bitwise_and(2**63 - 1)
        for search in searches:
            search.count(bits, lowest, width)
