"""Rotation: every generation answers another part of the items, and each part is like the whole.

Items are laid out in a row, and the g-th of G generations takes every G-th one from the g-th on: after
G generations all have been asked once, and a new turn begins.  The row is sorted by which of the
references (the parents, which answered everything) are right about an item, and among equals by how many
of all models asked so far were.  So each part holds its share of every kind of item, and of hard and
easy ones, as systematic sampling from a sorted list does (Cochran, Sampling Techniques, chapter 8).

Torch-free and pure: asking the items is the worker's task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a generation stands in the rotation of one benchmark.

    Attributes:
        number: How many times all items have been asked before.
        index: Which part it takes.
        parts: How many parts there are.
    """

    number: int
    index: int
    parts: int


def turn_of(generation: int, size: int, count: int) -> Turn:
    """Returns the turn of a generation, from 0 on, that is asked about `count` of `size` items."""
    parts = max(1, round(size / count))
    number, index = divmod(generation, parts)
    return Turn(number, index, parts)


def row_of(
    size: int,
    references: Sequence[Sequence[float]],
    ease: Sequence[float],
    *,
    seed: Sequence[int],
) -> NDArray[np.int64]:
    """Returns all places in the order in which parts are taken from them, shape [size].

    Args:
        size: How many items the benchmark has.
        references: What some models scored on every item, larger is better: [models][size].
        ease: Each item's mean over all models asked so far.
        seed: Of the order among equals.
    """
    row = np.random.default_rng(list(seed)).permutation(size)
    right_MN = np.array([_right(answers) for answers in references]).reshape(len(references), size)
    keys = [np.asarray(ease, dtype=np.float64), *right_MN[::-1], right_MN.sum(axis=0)]  # the last sorts first
    return row[np.lexsort([key[row] for key in keys])]


def part_of(row: NDArray[np.int64], turn: Turn) -> tuple[int, ...]:
    """Returns the indices of one part, growing."""
    return tuple(sorted(row[turn.index :: turn.parts].tolist()))


def _right(answers: Sequence[float]) -> NDArray[np.float64]:
    """Returns 1 where a model did better than it mostly does, so that few kinds of items remain."""
    values = np.asarray(answers, dtype=np.float64)
    found: NDArray[np.float64] = (values > values.mean()).astype(np.float64)
    return found
