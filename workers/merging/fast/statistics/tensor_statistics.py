"""What the fast passes must know of a tensor before they run, found once and remembered."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from workers.merging.fast.caches import Caches
from workers.merging.fast.held_inputs import VectorKey
from workers.merging.fast.selection.rules import rule_of
from workers.merging.fast.selection.selection_masks import Criterion, SelectionMask
from workers.merging.fast.statistics import random_keys
from workers.merging.fast.statistics.inner_products import Gram, inner_products
from workers.merging.fast.statistics.lengths import kept_length, peak, products
from workers.merging.fast.statistics.magnitudes import Level, MagnitudeTable, find_level, magnitude_table
from workers.merging.fast.statistics.tie_ranks import limit_by_blocks, tie_position
from workers.merging.fast.storage import Array
from workers.merging.fast.threads import STRETCH, Map, stretches
from workers.merging.plan import TensorPlan
from workers.merging.thinning.counter_random import seed_words
from workers.merging.thinning.sparsify import rank_shifts

_Value = TypeVar("_Value")
_MANY = 1 << 17
"""Entries from which on a table of lengths costs less than counting anew for every candidate."""

_UNIT_BITS = 30
"""Of the largest magnitude in units: 2^32 entries of this size do not overflow 63 bits."""


@dataclass(frozen=True, slots=True)
class TensorStatistics:
    """What can be known of one merged tensor's inputs.

    Attributes:
        plan: Of the tensor.
        parents: Flat, one per input: arrays, or on a device tensors.
        base: As flat; empty where there is none.
        caches: What is remembered between candidates; None where there is but one.
        work: How to go through the stretches of a tensor.
        vectors: The keys of the parents' task vectors, where they are known already.
    """

    plan: TensorPlan
    parents: tuple[Any, ...]
    base: Any
    caches: Caches | None
    work: Map
    vectors: tuple[VectorKey, ...] = ()

    @property
    def count(self) -> int:
        """How many entries the tensor has."""
        return math.prod(self.plan.shape)

    def gram(self, *, with_base: bool, around_base: bool) -> Gram:
        """Returns the inner products of the parents, of the base too, or of the differences from it."""
        vectors = (*self.parents, self.base) if with_base and len(self.base) else self.parents
        origin = self.base if around_base else self.base[:0]
        key = ("gram", self.plan.inputs, self.plan.base, with_base, around_base)
        return self._remembered(key, lambda: inner_products(products, vectors, origin, self.work))

    def level(self, parent: int, rank: int) -> Level:
        """Returns the magnitude of a task vector that has this rank; rank 0 is the largest."""
        if self.caches is None:
            return find_level(self.parents[parent], self.base, rank, self.work)
        return self._magnitudes(parent).level(rank)

    def limit(self, parent: int, rank: int) -> tuple[int, int]:
        """Returns the magnitude of this rank, as bits, and a place that parts its entry from the next equal.

        Equals rank as they lie in memory; where all of them rank no later, the place is behind the tensor.
        """
        table = None if self.caches is None else self._magnitudes(parent)
        if table is not None and table.blocks is not None:
            return limit_by_blocks(self.parents[parent], self.base, table, table.blocks, rank)
        level = self.level(parent, rank) if table is None else table.level(rank)
        among = rank - level.above + 1
        if among == level.equal:
            return level.bits, self.count
        key = ("tie", *self._vector(parent), level.bits, among)
        return level.bits, self._remembered(key, lambda: self._find_tie(parent, level, among))

    def _magnitudes(self, parent: int) -> MagnitudeTable:
        key = ("magnitudes", *self._vector(parent))
        return self._remembered(key, lambda: self._make_table(parent), lambda found: found.nbytes)

    def _make_table(self, parent: int) -> MagnitudeTable:
        return magnitude_table(self.parents[parent], self.base, self.work)

    def _find_tie(self, parent: int, level: Level, among: int) -> int:
        return tie_position(self.parents[parent], self.base, level.bits, among, level.equal, self.work)

    def keys(self, parent: int, epsilon: float) -> Any:  # noqa: ANN401 - an array, or on a device a tensor
        """Returns the keys of MagPrune, one per entry, from 0 to 2^16 - 1."""
        key = ("keys", *self._vector(parent), self.plan.seeds[parent], epsilon)
        return self._remembered(key, lambda: self._make_keys(parent, epsilon), lambda found: found.nbytes)

    def length(self, parent: int, kept: SelectionMask) -> int:
        """Returns the L1 norm of what is kept of a task vector, in units of its own.

        The units of a task vector are the same for all that may be kept of it.
        """
        if self.caches is not None and kept.by_chance and self.count >= _MANY:
            return int(self._lengths(parent, kept)[kept.code])
        if kept.criterion is Criterion.BY_KEY:
            return self._count_length(parent, kept)
        key = ("length", *self._vector(parent), kept.criterion, kept.least, kept.most, kept.seed, kept.code)
        return self._remembered(key, lambda: self._count_length(parent, kept))

    def whole_length(self, parent: int) -> int:
        """Returns the L1 norm of a whole task vector, in its units."""
        key = ("length", *self._vector(parent))
        return self._remembered(
            key, lambda: self._count_length(parent, SelectionMask(Criterion.BY_MAGNITUDE))
        )

    def _units(self, parent: int) -> float:
        """How many units make 1; 0 where the task vector is zero, or holds NaN or infinity."""
        largest = self._remembered(("peak", *self._vector(parent)), lambda: self._find_peak(parent))
        if not 0.0 < largest < math.inf:
            return 0.0
        return math.ldexp(1.0, _UNIT_BITS - math.frexp(largest)[1])

    def _find_peak(self, parent: int) -> float:
        def part(start: int) -> np.uint32:
            inside = slice(start, start + STRETCH)
            return peak(self.parents[parent][inside], self.base[inside])

        return float(np.uint32(max(self.work(part, stretches(self.count)))).view(np.float32))

    def _lengths(self, parent: int, kept: SelectionMask) -> Array:
        """The table of lengths by code, int64 [2^16 + 1]."""
        own, base = self.parents[parent], self.base
        key: tuple[Hashable, ...] = (*self._vector(parent), self.plan.seeds[parent])
        if kept.criterion is Criterion.AT_RANDOM:
            start, extra = map(np.uint32, kept.seed)
            return self._remembered(
                ("lengths by word", *key),
                lambda: random_keys.lengths_by_word(own, base, self._units(parent), start, extra),
                lambda found: found.nbytes,
            )
        return self._remembered(
            ("lengths by key", *key, self.plan.per_parent["epsilon"][parent]),
            lambda: random_keys.lengths_by_key(own, base, self._units(parent), kept.keys),
            lambda found: found.nbytes,
        )

    def _count_length(self, parent: int, kept: SelectionMask) -> int:
        units, own, base = self._units(parent), self.parents[parent], self.base
        rule, ends = rule_of(kept.criterion, (kept,), self.count, (kept.keys,))

        def part(start: int) -> int:
            return kept_length(own, base, units, rule, ends, start, min(start + STRETCH, self.count))

        return sum(self.work(part, stretches(self.count)))

    def _make_keys(self, parent: int, epsilon: float) -> Any:  # noqa: ANN401 - as `keys`
        width = self.plan.shape[-1] if self.plan.shape else 1
        shifts = rank_shifts(epsilon, width).numpy()
        start, extra = (np.uint32(word) for word in seed_words(self.plan.seeds[parent]))
        rows = max(1, STRETCH // width) * width

        def part(first: int) -> Array:
            own, base = self.parents[parent][first : first + rows], self.base[first : first + rows]
            return random_keys.rank_keys(own, base, width, first, shifts, start, extra)

        return np.concatenate(self.work(part, range(0, self.count, rows)))

    def _vector(self, parent: int) -> tuple[Hashable, ...]:
        """What a task vector is known by."""
        if self.vectors:
            return (self.vectors[parent],)
        return (VectorKey(self.plan.inputs[parent], self.plan.base, self.plan.dtype),)

    def _remembered(
        self,
        key: tuple[Hashable, ...],
        make: Callable[[], _Value],
        size: Callable[[_Value], int] = lambda _value: 256,
    ) -> _Value:
        return make() if self.caches is None else self.caches.remembered(key, make, size)
