"""Blocks: parts of a network whose units can be reordered without a change outside.

A block is a row of units; a unit may hold smaller units (a key-value group its query heads, an expert
its hidden units).  What a unit holds is reordered within it, then units are matched with units.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workers.operations.weight_matching import Group, Matching, assign, match_weights, objective

Read = Callable[[str], Tensor]


@dataclass(frozen=True, slots=True)
class Facet:
    """Where a block's units lie along one axis of a tensor.

    Attributes:
        tensors: One tensor that holds all units, or one tensor per unit.
        axis: Along which they lie.
        length: Of that axis.
        positions: Along the axis, int64 [units, inner dimensions ...].
        inner: For each inner dimension the name of the smaller units that it counts, or None where its
            order is fixed.
        reads: The tensor takes the units' values in; otherwise it computes them.
    """

    tensors: tuple[str, ...]
    axis: int
    length: int
    positions: Tensor
    inner: tuple[str | None, ...]
    reads: bool = False

    def tensor_of(self, unit: int) -> str:
        """Returns the name of the tensor that holds a unit."""
        return self.tensors[unit if len(self.tensors) > 1 else 0]


@dataclass(frozen=True, slots=True)
class Block:
    """Units that may change places with each other, and the smaller units within them.

    Attributes:
        many_large_units: The units are whole experts: too large to try each on each.
    """

    name: str
    units: int
    facets: tuple[Facet, ...]
    many_large_units: bool = False

    @property
    def tensors(self) -> frozenset[str]:
        """The names of all tensors that it touches."""
        return frozenset(name for facet in self.facets for name in facet.tensors)

    @property
    def groups(self) -> tuple[tuple[str, Group], ...]:
        """The names of the smaller units, and where they lie in `unit_tensors`."""
        found: dict[str, list[tuple[str, int]]] = {}
        for number, facet in enumerate(self.facets):
            for axis, name in enumerate(facet.inner):
                if name is not None:
                    found.setdefault(name, []).append((str(number), axis))
        return tuple((name, tuple(axes)) for name, axes in found.items())


@dataclass(frozen=True, slots=True)
class BlockMatching:
    """How a block of one network is reordered to match another's.

    Attributes:
        units: int64 [units]: place i takes what was unit u[i].
        inner: For each place, the permutation of each kind of smaller units.
        before: Inner product of both networks' block as it was.
        after: And as it is now.
    """

    units: Tensor
    inner: tuple[Mapping[str, Tensor], ...]
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Relocation:
    """A tensor of the reordered network: the source's entries `index` along `axis`."""

    source: str
    axis: int
    index: Tensor

    def apply(self, read: Read) -> Tensor:
        """Returns the reordered tensor."""
        return read(self.source).index_select(self.axis, self.index)


def unit_tensors(block: Block, unit: int, read: Read) -> dict[str, Tensor]:
    """Returns a unit's weights, one tensor [inner dimensions ..., rest] per facet."""
    found = {}
    for number, facet in enumerate(block.facets):
        positions = facet.positions[unit]
        tensor = read(facet.tensor_of(unit))
        rows = tensor.index_select(facet.axis, positions.reshape(-1)).movedim(facet.axis, 0)
        found[str(number)] = rows.reshape(*positions.shape, math.prod(rows.shape[1:]))
    return found


def match_block(block: Block, first: Read, second: Read, rng: np.random.Generator) -> BlockMatching:
    """Returns how the second network's block is reordered to match the first's best.

    Small units (heads) are tried each on each, and assigned.  Whole experts are assigned by what
    reordering their hidden units does not change (Gram matrices, router rows); that is kept where it
    serves the objective better than leaving them where they are.

    Raises:
        MismatchError: The networks' shapes differ, or their weights hold NaN or infinity.
    """
    mine = [unit_tensors(block, unit, first) for unit in range(block.units)]
    theirs = [unit_tensors(block, unit, second) for unit in range(block.units)]
    names, groups = zip(*block.groups, strict=True) if block.groups else ((), ())
    if block.many_large_units:
        units, matchings = _match_large(block, mine, theirs, groups, rng)
    else:
        units, matchings = _match_small(mine, theirs, groups, rng)
    return BlockMatching(
        units=units,
        inner=tuple(dict(zip(names, found.permutations, strict=True)) for found in matchings),
        before=sum(objective(a, b) for a, b in zip(mine, theirs, strict=True)),
        after=sum(found.objective for found in matchings),
    )


def relocations(block: Block, matching: BlockMatching) -> dict[str, Relocation]:
    """Returns where each of the block's tensors comes from, by the name that it will have."""
    found: dict[str, Relocation] = {}
    for facet in block.facets:
        for place, unit in enumerate(matching.units.tolist()):
            name = facet.tensor_of(place)
            if name not in found:
                found[name] = Relocation(facet.tensor_of(unit), facet.axis, torch.arange(facet.length))
            taken = facet.positions[unit]
            for axis, inner in enumerate(facet.inner):
                if inner is not None:
                    taken = taken.index_select(axis, matching.inner[place][inner])
            found[name].index[facet.positions[place].reshape(-1)] = taken.reshape(-1)
    return found


def _match_small(
    mine: Sequence[Mapping[str, Tensor]],
    theirs: Sequence[Mapping[str, Tensor]],
    groups: Sequence[Group],
    rng: np.random.Generator,
) -> tuple[Tensor, list[Matching]]:
    tried = [[match_weights(a, b, groups, rng) for b in theirs] for a in mine]
    units = assign(torch.tensor([[found.objective for found in row] for row in tried], dtype=torch.float64))
    return units, [tried[place][unit] for place, unit in enumerate(units.tolist())]


def _match_large(
    block: Block,
    mine: Sequence[Mapping[str, Tensor]],
    theirs: Sequence[Mapping[str, Tensor]],
    groups: Sequence[Group],
    rng: np.random.Generator,
) -> tuple[Tensor, list[Matching]]:
    proposals = [torch.arange(block.units)]
    alike = assign(_likeness(block, mine, theirs))
    if not torch.equal(alike, proposals[0]):
        proposals.append(alike)
    tried = [
        [match_weights(mine[place], theirs[unit], groups, rng) for place, unit in enumerate(units.tolist())]
        for units in proposals
    ]
    best = max(range(len(proposals)), key=lambda n: sum(found.objective for found in tried[n]))
    return proposals[best], tried[best]


def _likeness(
    block: Block, mine: Sequence[Mapping[str, Tensor]], theirs: Sequence[Mapping[str, Tensor]]
) -> Tensor:
    """Returns how alike units are whatever the order of what they hold, float64 [units, units]."""
    total = torch.zeros(block.units, block.units, dtype=torch.float64)
    for number, facet in enumerate(block.facets):
        ordered = not any(facet.inner)
        left, right = (
            torch.stack([_signature(unit[str(number)], ordered=ordered) for unit in side])
            for side in (mine, theirs)
        )
        total += (left @ right.T).double().cpu()
    return total


def _signature(tensor: Tensor, *, ordered: bool) -> Tensor:
    """Returns a unit vector that reordering leaves alone: the values, or their Gram matrix."""
    wide = tensor.to(torch.promote_types(tensor.dtype, torch.float32))
    if not ordered:
        rows = wide.reshape(-1, wide.shape[-1])
        wide = rows.T @ rows
    return torch.nn.functional.normalize(wide.reshape(-1), dim=0)
