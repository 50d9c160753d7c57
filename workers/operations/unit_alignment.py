"""Aligns a checkpoint with another: weight matching over all blocks of a transformer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from workers.checkpoints.layout import Layout
from workers.errors import MismatchError
from workers.operations.blocks import Block, BlockMatching, Read, Relocation, match_block, relocations
from workers.operations.rewriting import (
    Report,
    changed_config,
    files_beside,
    open_parent,
    readers,
    rng_for,
    stored_as,
    write_result,
)
from workers.operations.transformer_groups import transformer_blocks
from workers.protocol.messages import Transformed
from workers.protocol.transform_orders import WeightMatchingOrder


class UnitAlignment:
    """Reads a checkpoint's tensors in the order of units that matches the reference's.

    Blocks are matched when their first tensor is asked for; blocks do not depend on each other.
    """

    def __init__(self, blocks: list[Block], reference: Read, parent: Read, *, seed: int) -> None:
        self.matchings: dict[str, BlockMatching] = {}
        self._blocks = {tensor: block for block in blocks for tensor in block.tensors}
        self._reference, self._parent, self._seed = reference, parent, seed
        self._relocations: dict[str, Mapping[str, Relocation]] = {}

    def read(self, name: str) -> Tensor:
        """Returns a tensor, reordered.

        Raises:
            MismatchError: The checkpoints do not fit together.
            CheckpointError: A tensor is missing, or holds NaN or infinity.
        """
        block = self._blocks.get(name)
        if block is None:
            return self._parent(name)
        if block.name not in self._relocations:
            matching = match_block(block, self._reference, self._parent, rng_for(self._seed, block.name))
            self.matchings[block.name] = matching
            self._relocations[block.name] = relocations(block, matching)
        return self._relocations[block.name][name].apply(self._parent)


def align(order: WeightMatchingOrder) -> Transformed:
    """Writes the parent with its units in the order that matches the reference's best.

    The result computes what the parent did, up to the rounding of sums in another order.

    Raises:
        MismatchError: The two have different architectures or shapes, or nothing can be reordered.
        CheckpointError: One is missing or broken, or holds NaN or infinity.
        ExportError: The folder cannot be written.
    """
    parent, reference = open_parent(order.parent), open_parent(order.reference)
    blocks = matchable_blocks(reference, parent)
    settings = {"parent": str(order.parent), "reference": str(order.reference), "seed": order.seed}
    report = Report("weight matching", settings)
    with readers(reference, parent) as (read_reference, read_parent):
        alignment = UnitAlignment(blocks, read_reference, read_parent, seed=order.seed)

        def tensors() -> Iterator[tuple[str, Tensor]]:
            for name in parent.tensors:
                yield name, alignment.read(name)
            report.results.update(describe(alignment.matchings))

        return write_result(
            order.destination,
            changed_config(parent),
            stored_as(parent),
            tensors(),
            report=report,
            owner=parent,
            copied=files_beside(parent),
        )


def matchable_blocks(reference: Layout, parent: Layout) -> list[Block]:
    """Returns the blocks in which two checkpoints can be matched.

    Raises:
        MismatchError: They have different architectures or shapes, or no block is understood.
    """
    field = str(parent.parent)
    if parent.architecture != reference.architecture:
        detail = f"is a {parent.architecture}, {reference.parent} is a {reference.architecture}"
        raise MismatchError(field, detail, "align models of one architecture")
    blocks = transformer_blocks(parent)
    if not blocks:
        detail = f"no part of a {parent.architecture} is known to be free to reorder"
        raise MismatchError(field, detail, "leave this model as it is")
    for name in sorted(name for block in blocks for name in block.tensors):
        shape = reference.tensors[name].shape if name in reference.tensors else None
        if shape != parent.tensors[name].shape:
            detail = f"{name!r} has shape {parent.tensors[name].shape}, in {reference.parent} {shape}"
            raise MismatchError(field, detail, "align models of one size")
    return blocks


def describe(matchings: Mapping[str, BlockMatching]) -> dict[str, object]:
    """Returns, for the report, each block's objective before and after, and how many units moved."""
    return {
        name: {
            "inner_product_before": found.before,
            "inner_product_after": found.after,
            "units_moved": _moved(found),
        }
        for name, found in sorted(matchings.items())
    }


def _moved(matching: BlockMatching) -> int:
    permutations = [matching.units, *(p for inner in matching.inner for p in inner.values())]
    return sum(int((p != p.new_tensor(range(len(p)))).sum()) for p in permutations)
