"""Reads parents' tensors as their fitted layouts promise them: renamed, and with rows in one order."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from search_spaces import Parent
from workers.checkpoints.closing import Closing
from workers.checkpoints.vocabulary import vocabulary_tables
from workers.compatibility.fitting import FittedParents
from workers.tokenizers.alignment import RowPlan


class TensorReader(Protocol):
    """Who reads parents' tensors: from files, from memory, or through another reader."""

    def read(self, parent: Parent, name: str) -> Tensor:
        """Returns a parent's tensor; it must not be changed."""
        ...

    def close(self) -> None:
        """Lets files and tensors go; they are opened again when they are asked for."""
        ...


class FittedReader(Closing):
    """Reads through another reader.

    Args:
        stored: Reads the tensors as the checkpoints store them.
        fitted: What the plan was made from.
        keep: Keeps all rebuilt embeddings for the next time; without it each parent's latest is kept,
            since it may be asked for piece by piece.
    """

    def __init__(self, stored: TensorReader, fitted: FittedParents, *, keep: bool = False) -> None:
        self._stored, self._fitted, self._keep = stored, fitted, keep
        self._plans = fitted.alignment.plans if fitted.alignment is not None else {}
        self._tables = {
            parent: frozenset(vocabulary_tables(fitted.layouts[parent])) for parent in self._plans
        }
        self._kept: dict[tuple[Parent, str], Tensor] = {}

    def read(self, parent: Parent, name: str) -> Tensor:
        """Returns a parent's tensor, of the shape that its fitted layout gives; it must not be changed.

        Raises:
            CheckpointError: The parent has no such tensor.
        """
        if name not in self._tables.get(parent, ()):
            return self._under_own_name(parent, name)
        if (parent, name) not in self._kept:
            if not self._keep:
                self._kept = {key: tensor for key, tensor in self._kept.items() if key[1] == name}
            self._kept[parent, name] = self._rebuilt(parent, name)
        return self._kept[parent, name]

    def close(self) -> None:
        """Lets what is kept go, and what the other reader holds."""
        self._kept.clear()
        self._stored.close()

    def _under_own_name(self, parent: Parent, name: str) -> Tensor:
        return self._stored.read(parent, self._fitted.names.get(parent, {}).get(name, name))

    @torch.no_grad()
    def _rebuilt(self, parent: Parent, name: str) -> Tensor:
        """Returns [merged rows, ...] in the parent's format; means are taken in float32 or wider."""
        plan: RowPlan = self._plans[parent]
        stored = self._under_own_name(parent, name)
        own = torch.tensor(plan.own, device=stored.device)
        rebuilt = stored[own.clamp(min=0)]
        wide = torch.promote_types(stored.dtype, torch.float32)
        for donation in plan.donations:
            rows = torch.tensor(donation.rows, device=stored.device)
            total = torch.zeros(len(donation.rows), *stored.shape[1:], dtype=wide, device=stored.device)
            for donor, taken in donation.donors.items():
                table = self._under_own_name(donor, name).to(stored.device)
                total += table[torch.tensor(taken, device=stored.device)].to(wide)
            rebuilt[rows] = (total / len(donation.donors)).to(stored.dtype)
        if plan.averaged:
            rows = torch.tensor(plan.averaged, device=stored.device)
            rebuilt[rows] = stored.to(wide).mean(0).to(stored.dtype)
        if plan.zeros:
            rebuilt[torch.tensor(plan.zeros, device=stored.device)] = 0
        return rebuilt
