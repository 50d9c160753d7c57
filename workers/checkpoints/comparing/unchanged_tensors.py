"""In which tensors a fine-tuned checkpoint equals the one that it was made from.  Torch-free.

Of most tensors the middle numbers show that they differ.  Where those are equal, all are compared, as far
as they go on being equal: nothing but what training left alone is read whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from workers.checkpoints.comparing.remembered import remember, remembered
from workers.checkpoints.layout import Layout, TensorEntry
from workers.checkpoints.weight_samples import NUMBERS, TYPES, Places, read_numbers

_AT_ONCE = 4 * 2**20  # numbers
WORTH_REMEMBERING = 64 * 2**20  # bytes read: less is read again in a moment


def unchanged_tensors(
    layout: Layout, base: Layout, *, worth_remembering: int = WORTH_REMEMBERING
) -> frozenset[str] | None:
    """Returns the tensors in which a checkpoint holds the base's numbers, whatever their format.

    What was found out is kept in the user's cache, as long as no file changes.

    Args:
        layout: Of the checkpoint.
        base: Of the one that it is compared with.
        worth_remembering: Bytes to be read from which on the finding is kept.

    Returns:
        Their names; None where the files of one are not on this machine.  What an adapter changes, or
        what is stored in another shape, order or in a format that is not compared, counts as changed.
    """
    alike = [name for name, entry in layout.tensors.items() if _comparable(entry, base.tensors.get(name))]
    files = {each.tensors[name].file for name in alike for each in (layout, base)}
    if not all(file.is_file() for file in files):
        return None
    ours, theirs = Places(layout), Places(base)
    candidates = [name for name in alike if _equal(name, ours, theirs, sampled=True)]
    size = sum(layout.tensors[name].bytes + base.tensors[name].bytes for name in candidates)
    known = remembered(layout, base) if size >= worth_remembering else None
    if known is not None:
        return known
    found = frozenset(name for name in candidates if _equal(name, ours, theirs, sampled=False))
    if size >= worth_remembering:
        remember(layout, base, found)
    return found


def _comparable(entry: TensorEntry, other: TensorEntry | None) -> bool:
    """Says whether two entries are the same numbers where their files hold the same."""
    if other is None or entry.change is not None or other.change is not None:
        return False
    if entry.shape != other.shape or entry.arrangement != other.arrangement:
        return False
    return {entry.dtype, other.dtype} <= TYPES.keys()


def _equal(name: str, ours: Places, theirs: Places, *, sampled: bool) -> bool:
    count = math.prod(ours.layout.tensors[name].shape)
    parts = [((count - NUMBERS) // 2 if count > NUMBERS else 0, min(count, NUMBERS))]
    return all(
        np.array_equal(read_numbers(ours, name, *part), read_numbers(theirs, name, *part))
        for part in (parts if sampled else _parts(count))
    )


def _parts(count: int) -> Iterator[tuple[int, int]]:
    """Yields where each part of so many numbers begins, and how many it holds."""
    for start in range(0, count, _AT_ONCE):
        yield start, min(_AT_ONCE, count - start)
