"""The data: 1,797 handwritten digits of 8 x 8 pixels, dealt into four parts by a seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor

PIXELS, CLASSES = 64, 10
_SIZES = {"train": 797, "search": 400, "selection": 200, "test": 400}


@dataclass(frozen=True, slots=True)
class Items:
    """Labelled pictures.

    Attributes:
        pixels: float32, shape [items, 64], in [0, 1].
        labels: int64, shape [items].
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, places: Tensor) -> Items:
        """Returns some of the items, in the order of their places (indices or a mask)."""
        return Items(self.pixels[places], self.labels[places])

    def of(self, *classes: int) -> Items:
        """Returns the items of these classes."""
        return self.at(torch.isin(self.labels, torch.tensor(classes)))


@dataclass(frozen=True, slots=True)
class Digits:
    """The four parts: what parents learn from, and what the service calls splits."""

    train: Items
    search: Items
    selection: Items
    test: Items


def deal_digits(seed: int) -> Digits:
    """Returns the digits in an order drawn from the seed: parts of 797, 400, 200 and 400."""
    everything = _everything()
    order = torch.from_numpy(np.random.default_rng([seed, 17]).permutation(len(everything)))
    parts = torch.split(order, list(_SIZES.values()))
    return Digits(**dict(zip(_SIZES, map(everything.at, parts), strict=True)))


@cache
def _everything() -> Items:
    data = load_digits()
    return Items(torch.from_numpy(data.data).float() / 16, torch.from_numpy(data.target).long())
