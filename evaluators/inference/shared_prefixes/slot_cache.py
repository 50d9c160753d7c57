"""Keys and values of rows that come and go: memory that is reserved once and written in place.

Shapes: S slots, h key-value heads, C columns (positions) of a slot, d size of a head, n rows read now,
T columns in use, L tokens of a prompt.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from evaluators.inference.shared_prefixes.prefix_cache import Beginning


class SlotCache(Cache):
    """A key-value cache of S slots; rows 0 to n - 1 are in use, and row r lies in slot r.

    Before each forward pass say what it writes: `prefill` or `step`.
    """

    def __init__(self, layers: int, *, slots: int, columns: int) -> None:
        self._slots = [_Slot(slots, columns) for _ in range(layers)]
        super().__init__(layers=[*self._slots])

    def prefill(self, first: int, before: Beginning | None) -> None:
        """The next pass reads prompts for the slots from `first` on, after this beginning."""
        for number, layer in enumerate(self._slots):
            layer.first, layer.before = first, None if before is None else before.layers[number]
            layer.positions = None

    def step(self, positions: Tensor, width: int) -> None:
        """The next pass reads one token per row, at these positions (n), all below `width`."""
        rows = torch.arange(len(positions), device=positions.device)
        for layer in self._slots:
            layer.rows, layer.positions, layer.width = rows, positions, width

    def move(self, source: int, target: int) -> None:
        """Gives a row another slot."""
        for layer in self._slots:
            for memory in (layer.keys, layer.values):
                memory[target] = memory[source]


class _Slot(DynamicLayer):
    """One layer's slots."""

    keys: Tensor
    values: Tensor

    def __init__(self, slots: int, columns: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the exclusion misses super()
        self._shape = slots, columns
        self.first = self.width = 0
        self.before: tuple[Tensor, Tensor] | None = None
        self.rows: Tensor | None = None
        self.positions: Tensor | None = None

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Reserves the memory; zeros, because what is masked is multiplied by zero all the same."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys, self.values = self._reserved(key_states), self._reserved(value_states)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Writes what the pass read; returns the keys and values that it sees."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        pairs: Any = ((self.keys, key_states, 0), (self.values, value_states, 1))
        if self.positions is None:
            keys, values = (self._filled(*pair) for pair in pairs)
        else:
            keys, values = (self._stepped(*pair[:2]) for pair in pairs)
        return keys, values

    def _filled(self, memory: Tensor, new: Tensor, part: int) -> Tensor:
        if self.before is not None:
            new = torch.cat((self.before[part].expand(new.shape[0], -1, -1, -1), new), dim=-2)
        memory[self.first : self.first + new.shape[0], :, : new.shape[-2]] = new
        return new

    def _stepped(self, memory: Tensor, new: Tensor) -> Tensor:
        memory[self.rows, :, self.positions] = new[:, :, 0]
        return memory[: new.shape[0], :, : self.width]

    def _reserved(self, like: Tensor) -> Tensor:
        slots, columns = self._shape
        return torch.zeros(slots, like.shape[1], columns, like.shape[3], dtype=like.dtype, device=like.device)
