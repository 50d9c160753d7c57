"""Weighted sums of many tensors in one pass: small tensors cost more to be called for than to be added up.

All numbers are bfloat16, of which two lie in a word, and no tensor has a base.  The pass is the one that
`numba_kernels.weighted_sum` carries out, and what comes out is what `weighted_sums.add_up` writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import carray
from numba.extending import overload

from workers.merging.fast.backends.numba_kernels import run_pairs
from workers.merging.fast.backends.sum_forms import WeightedSum
from workers.merging.fast.compiled.compiling import compiled
from workers.merging.fast.compiled.intrinsics import words_at
from workers.merging.fast.held_inputs import Operands
from workers.merging.fast.storage import Array
from workers.merging.fast.threads import Map

_PORTION = 1 << 19
"""Words of a batch that one thread treats at a time."""

_ONE_PIECE = np.array([np.iinfo(np.int64).max], np.int64)
_NOTHING = np.zeros(0, np.uint32)


class BatchedSum(NamedTuple):
    """One of a batch.

    Attributes:
        places: In memory: of what is written, and of the parents that are read.
        words: How many are written.
        weights: Of these parents.
    """

    places: tuple[int, ...]
    words: int
    weights: tuple[float, ...]


def batched_sum(operands: Operands, weights: tuple[float, ...]) -> BatchedSum:
    """Returns the sum of a tensor's parents; of weight 0, as everywhere, none is read but a first.

    Args:
        operands: Of the tensor, which are `alone_in_pairs`.
        weights: One per parent.
    """
    out, *places = operands.places
    if 0.0 in weights:
        taking_part = [number for number, weight in enumerate(weights) if weight != 0.0] or [0]
        places = [places[number] for number in taking_part]
        weights = tuple(weights[number] for number in taking_part)
    return BatchedSum((out, *places), len(operands.paired_out), weights)


@cache
def compile_for(parents: int) -> None:
    """Loads or compiles the pass for sums of so many parents; the first batch would wait for it otherwise."""
    places, weights = np.zeros((1, 1 + parents), np.int64), np.zeros((1, parents), np.float32)
    _add_up((_NOTHING,) * parents, places, np.zeros(1, np.int64), weights, _ONE_PIECE, 0, 0)


def add_up_together(batch: Sequence[BatchedSum], work: Map) -> list[bool]:
    """Writes all sums; returns of each whether it is finite.

    Args:
        batch: Sums of as many parents each.
        work: How to go through portions of the whole.
    """
    places = np.array([one.places for one in batch], np.int64)
    weights = np.array([one.weights for one in batch], np.float32)
    ends = np.cumsum([one.words for one in batch])
    parents = (_NOTHING,) * weights.shape[1]

    def part(start: int) -> Array:
        stop = min(start + _PORTION, int(ends[-1]))
        return _add_up(parents, places, ends, weights, _ONE_PIECE, start, stop)

    broken = np.bitwise_or.reduce(work(part, range(0, int(ends[-1]), _PORTION)))
    return [bool(one) for one in broken == 0]


def _views(
    parents: tuple[Array, ...], places: Array, first: int, start: int, count: int
) -> tuple[Array, ...]:
    """Returns as many views of memory as there are `parents`; for compiled code alone.

    Args:
        parents: Of the views' type.
        places: In memory, int64.
        first: Which of them is the first that is viewed.
        start: The first word.
        count: How many words.
    """
    raise NotImplementedError("for compiled code, which takes what _choose_views names")


@overload(_views)
def _choose_views(parents, places, first, start, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    def one(parents, places, first, start, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
        return (carray(words_at(places[first], start), (count,)),)

    def several(parents, places, first, start, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        view = carray(words_at(places[first], start), (count,))
        return (view,) + _views(parents[1:], places, first + 1, start, count)  # noqa: RUF005 - all that numba reads

    return one if len(parents) == 1 else several


@compiled
def _add_up(
    parents: tuple[Array, ...],
    places: Array,
    ends: Array,
    weights: Array,
    one_piece: Array,
    start: int,
    stop: int,
) -> Array:
    """Writes the words [start, stop) of all tensors, one after the other; returns their brokenness, uint32.

    Args:
        parents: n empty arrays: the compiler must know their number.
        places: Of what is written, and of the parents, int64 [tensors, 1 + n].
        ends: Where each tensor ends, in words, int64 [tensors].
        weights: float32 [tensors, n].
        one_piece: The end of a rule's only piece.
        start: The first word.
        stop: Past the last.
    """
    broken = np.zeros(ends.shape[0], np.uint32)
    tensor = np.searchsorted(ends, start, side="right")
    while start < stop:
        begin = ends[tensor - 1] if tensor else 0
        until = min(stop, ends[tensor])
        count = until - start
        out = carray(words_at(places[tensor, 0], start - begin), (count,))
        form = WeightedSum(_views(parents, places[tensor], 1, start - begin, count), weights[tensor])
        broken[tensor] = run_pairs(out, form, one_piece, 0, 2 * count)
        start = until
        tensor += 1
    return broken
