"""Rules: which entries of task vectors are kept, as compiled loops are told.

A loop that is given a rule is compiled for the rule's class, so that it holds no more instructions than
this rule needs.  n task vectors; a tensor is cut into pieces where limits change (`selection_masks.cut`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from workers.merging.fast.compiled.compiling import chosen_by_type
from workers.merging.fast.compiled.entries import ONE, ZERO, random_word, size_of
from workers.merging.fast.compiled.intrinsics import read_key
from workers.merging.fast.selection.selection_masks import ALL_CODES, Criterion, SelectionMask, cut
from workers.merging.fast.storage import Array

_GREATEST = 2**31 - 1
_INFINITY = 0x7F800000


class AtLeast(NamedTuple):
    """Keeps magnitudes, as bits, from `least` [pieces, n], int32, on; NaN and infinity among them."""

    least: Array


class Between(NamedTuple):
    """Keeps magnitudes, as bits, `least` ... `most` [pieces, n], int32."""

    least: Array
    most: Array


class AtRandom(NamedTuple):
    """Keeps entries whose random word, of `seeds` uint32 [n, 2], is at most `last`, int32 [n]."""

    seeds: Array
    last: Array


class ByKey(NamedTuple):
    """Keeps entries whose key, one uint16 per entry in each of n `keys`, is below `bounds`, uint32 [n]."""

    keys: tuple[Array, ...]
    bounds: Array


Rule = AtLeast | Between | AtRandom | ByKey


def rule_of(
    criterion: Criterion, masks: Sequence[SelectionMask], count: int, keys: Sequence[Array] = ()
) -> tuple[Rule, Array]:
    """Returns a rule for some task vectors, and where its pieces end, int64 [pieces].

    Args:
        criterion: What decides.
        masks: One per task vector, n.
        count: How many entries each has.
        keys: Of BY_KEY: one array per task vector, uint16 [count], or viewed as pairs.
    """
    whole = np.array([count], np.int64)
    if criterion is Criterion.AT_RANDOM:
        seeds = np.array([mask.seed for mask in masks], np.uint32)
        return AtRandom(seeds, np.array([mask.last_word for mask in masks], np.int32)), whole
    if criterion is Criterion.BY_KEY:
        return ByKey(tuple(keys), np.array([mask.code for mask in masks], np.uint32)), whole
    ends = [end for _, end in cut(0, count, tuple(masks))]
    bounds = [[mask.bounds(end) for mask in masks] for end in ends]
    # What is dropped by a lower limit alone need not be looked at: it is finite.
    unlimited = all(most >= _INFINITY for row in bounds for _, most in row)
    cap = _INFINITY if unlimited else _GREATEST
    least = np.array([[min(least, cap) for least, _ in row] for row in bounds], np.int32)
    if unlimited:
        return AtLeast(least), np.array(ends, np.int64)
    most = np.array([[min(most, _GREATEST) for _, most in row] for row in bounds], np.int32)
    return Between(least, most), np.array(ends, np.int64)


def some_keys(several: Sequence[SelectionMask]) -> list[Array]:
    """Returns the keys; any will do where all entries are kept, because all are below that bound."""
    some = next(mask.keys for mask in several if mask.code != ALL_CODES)
    return [some if mask.code == ALL_CODES else mask.keys for mask in several]


def selected(
    rule: Rule, piece: int, k: int, j: int, half: int, index: np.uint32, delta: np.float32
) -> np.float32:
    """Returns an entry where it is kept, and zero where not; for compiled code alone.

    Dropped NaN and infinity give NaN, so that they are found in the result.

    Args:
        rule: Decides.
        piece: In which the entry lies.
        k: Of which task vector it is.
        j: Where it is stored.
        half: Which of two, where two are stored together.
        index: Its number in the tensor.
        delta: The entry.
    """
    raise NotImplementedError("for compiled code, which takes the function that chosen_by_type names")


def _at_least(rule, piece, k, j, half, index, delta):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    least = rule.least[piece, k]
    return delta if size_of(delta) >= least else ZERO


def _between(rule, piece, k, j, half, index, delta):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    size = size_of(delta)
    return delta * (ONE if (size >= rule.least[piece, k]) & (size <= rule.most[piece, k]) else ZERO)


def _at_random(rule, piece, k, j, half, index, delta):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    word = random_word(index, rule.seeds[k, 0], rule.seeds[k, 1])
    return delta * (ONE if word <= rule.last[k] else ZERO)


def _by_key(rule, piece, k, j, half, index, delta):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    return delta * (ONE if read_key(rule.keys[k][j], half) < rule.bounds[k] else ZERO)


chosen_by_type(selected, {AtLeast: _at_least, Between: _between, AtRandom: _at_random, ByKey: _by_key})
