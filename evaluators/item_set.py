"""Item set: what a benchmark asks on one split; and which of its items are meant."""

from __future__ import annotations

from dataclasses import dataclass

ItemIndices = tuple[tuple[int, ...], ...]
"""Per benchmark: indices of items in the split's order, from 0 on, growing."""


@dataclass(frozen=True, slots=True)
class ItemSet:
    """What a benchmark asks on one split.

    Attributes:
        size: How many items it has.
        fingerprint: Hash of every item's content, prompt and decoding, of all that marks an answer (code,
            settings, direction), and of the libraries' versions: equal fingerprints mean that an item's
            answer by one recipe need never be asked again.  Where something cannot be told from others
            like it, the fingerprint equals no other.
        additive: The score is the mean of its items, whichever are asked: parts can be put together.
        moved: The conditions change what is asked, or how it is answered.
        benchmark: What the benchmark is called in this experiment; others may call the same differently.
        drawn: Tokens are drawn: a rounding error may make another answer of any.
    """

    size: int
    fingerprint: str
    additive: bool
    moved: bool = False
    benchmark: str = ""
    drawn: bool = False
