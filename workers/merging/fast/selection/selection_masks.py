"""SelectionMask: which entries of a task vector are kept, as the passes are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

BEYOND = 2**32 - 1
"""Greater than the bits of any magnitude."""

ALL_CODES = 2**16


class Criterion(Enum):
    """What decides."""

    BY_MAGNITUDE = "magnitude"
    AT_RANDOM = "random"
    BY_KEY = "key"


@dataclass(frozen=True, slots=True)
class SelectionMask:
    """Which entries are kept.  Without more than a criterion: all.

    Attributes:
        criterion: What decides.
        least: The least magnitude, as bits, and the place before which entries of exactly this one
            are kept too; behind it only larger ones.
        most: The greatest, and the place before which entries of exactly this one are dropped.
        code: Of AT_RANDOM and BY_KEY: how many of 2^16 keys are kept (`sparsify.random_code`).
        seed: Of AT_RANDOM: the seed's words (s, z).
        keys: Of BY_KEY: one per entry, an array or on a device a tensor.
    """

    criterion: Criterion
    least: tuple[int, int] = (0, BEYOND)
    most: tuple[int, int] = (BEYOND, 0)
    code: int = ALL_CODES
    seed: tuple[int, int] = (0, 0)
    keys: Any = field(default_factory=lambda: np.empty(0, np.uint16))

    @property
    def everything(self) -> bool:
        """Says whether nothing is dropped."""
        return self.code == ALL_CODES and self.least == (0, BEYOND) and self.most == (BEYOND, 0)

    @property
    def by_chance(self) -> bool:
        """Says whether a seed decides."""
        return self.criterion is not Criterion.BY_MAGNITUDE

    @property
    def last_word(self) -> int:
        """The greatest random word that is kept, as int32; where none is, the least of all."""
        return max((self.code << 16) - 2**31 - 1, -(2**31))

    def bounds(self, end: int) -> tuple[int, int]:
        """Returns the least and the greatest magnitude that are kept before `end`, back to the last place."""
        least, kept_until = self.least
        most, dropped_until = self.most
        return least if end <= kept_until else least + 1, max(most - 1, 0) if end <= dropped_until else most


def cut(start: int, stop: int, several: tuple[SelectionMask, ...]) -> list[tuple[int, int]]:
    """Returns the pieces (start, stop) of a stretch inside which no mask's limits change, in order."""
    places = {place for kept in several for place in (kept.least[1], kept.most[1]) if start < place < stop}
    ends = [*sorted(places), stop]
    return list(zip([start, *ends], ends, strict=False))
