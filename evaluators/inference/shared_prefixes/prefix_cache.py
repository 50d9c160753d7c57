"""Keys and values that were computed once and are seen by many rows.

Shapes: h key-value heads, H tokens of the beginning, d size of a head, B rows, L tokens of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the layers keep of a beginning.

    Attributes:
        layers: Per layer keys and values, 1 x h x H x d; None for one that was left out.
        length: H.
    """

    layers: tuple[tuple[Tensor, Tensor] | None, ...]
    length: int


def following(beginning: Beginning) -> Cache:
    """Returns a cache that shows every row this beginning, and forgets what the rows add."""
    layers: list[Any] = [DynamicLayer() if pair is None else _Shown(*pair) for pair in beginning.layers]
    return Cache(layers=layers)


class _Shown(DynamicLayer):
    """One layer's beginning, in front of each row."""

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the exclusion misses super()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Returns keys and values of beginning and row, B x h x (H + L) x d."""
        return _joined(self.keys, key_states), _joined(self.values, value_states)


def _joined(known: Tensor, new: Tensor) -> Tensor:
    return torch.cat((known.expand(new.shape[0], -1, -1, -1), new), dim=-2)
