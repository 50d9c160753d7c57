"""Applies PLeaS to checkpoints: wider MLPs, attention aligned and averaged, everything else averaged."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from workers.checkpoints.inspection import compare_layouts
from workers.checkpoints.layout import Layout, text_config
from workers.checkpoints.writing.staging import dispose_of_leftovers, name_of_partial
from workers.errors import ExportError, MismatchError
from workers.operations.blocks import Block, Facet, Read, unit_tensors
from workers.operations.partial_merging.partial_merge import (
    Partition,
    fit_output,
    merge_consumer,
    merge_producer,
    partition_units,
    units_apart,
)
from workers.operations.partial_merging.partial_merge_statistics import record_statistics, token_batches
from workers.operations.rewriting import (
    Report,
    changed_config,
    files_beside,
    open_parent,
    readers,
    stored_as,
    write_result,
)
from workers.operations.unit_alignment import UnitAlignment, describe, matchable_blocks
from workers.operations.weight_matching import assign, similarity
from workers.protocol.messages import Transformed
from workers.protocol.transform_orders import Destination, PartialMergeOrder

WIDTH_KEYS = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size")


def partial_merge(order: PartialMergeOrder) -> Transformed:
    """Writes the partial merge of two models, an ordinary checkpoint with wider MLPs.

    With texts, output projections are then fitted by least squares (step 2): the merge without them is
    written to a hidden folder beside the result first, and all three models read the texts.

    Raises:
        MismatchError: The models do not fit together, are mixtures of experts, or their configuration
            knows no MLP width that all layers share.
        MergeError: The ratio lies outside 0 to 1, or the texts hold no tokens.
        CheckpointError: A model or the texts are missing or broken.
        ExportError: The folder cannot be written.
    """
    first, second = open_parent(order.first), open_parent(order.second)
    problems = compare_layouts([first, second])
    if problems:
        raise problems[0]
    if order.texts is None:
        return _write(order, order.destination, first, second, {})
    batches = token_batches(Path(order.texts), first.folder, length=order.length, most=order.texts_used)
    with _beside(Path(order.destination.folder)) as folder:
        unfitted = Destination(str(folder / "unfitted"), verify=False)
        _write(order, unfitted, first, second, {})
        outputs = [
            _output(block).tensors[0] for block in _mlps(first, matchable_blocks(first, second)).values()
        ]
        parents = [first.folder, second.folder]
        statistics = record_statistics(Path(unfitted.folder), parents, outputs, batches)
    return _write(order, order.destination, first, second, statistics)


def _write(
    order: PartialMergeOrder,
    destination: Destination,
    first: Layout,
    second: Layout,
    statistics: Mapping[str, tuple[Tensor, Tensor]],
) -> Transformed:
    blocks = matchable_blocks(first, second)
    mlps = _mlps(first, blocks)
    hidden = _output(next(iter(mlps.values()))).length
    width = hidden + units_apart(hidden, order.ratio)
    report = Report("partial merge", _settings(order), {"mlp_width": width})
    with readers(first, second) as (read_first, read_second):
        others = [block for block in blocks if block.name not in mlps]
        aligned = UnitAlignment(others, read_first, read_second, seed=order.seed)
        merger = _Merger(mlps, read_first, read_second, order.ratio, statistics)

        def tensors() -> Iterator[tuple[str, Tensor]]:
            for name in first.tensors:
                mine = read_first(name)
                merged = (
                    merger.merged(name) if name in merger.block_of else _average(mine, aligned.read(name))
                )
                yield name, merged.to(mine.dtype)
            report.results["attention"] = describe(aligned.matchings)

        shapes = {name: merger.shape(name, entry.shape, width) for name, entry in first.tensors.items()}
        return write_result(
            destination,
            changed_config(first, **{_width_key(first, hidden): width}),
            stored_as(first, shapes),
            tensors(),
            report=report,
            owner=first,
            copied=files_beside(first),
        )


class _Merger:
    """Merges the tensors of MLP blocks; a block is matched when its first tensor is asked for."""

    def __init__(
        self,
        mlps: Mapping[str, Block],
        first: Read,
        second: Read,
        ratio: float,
        statistics: Mapping[str, tuple[Tensor, Tensor]],
    ) -> None:
        self.block_of = {tensor: block for block in mlps.values() for tensor in block.tensors}
        self._first, self._second, self._ratio, self._statistics = first, second, ratio, statistics
        self._partitions: dict[str, Partition] = {}

    def merged(self, name: str) -> Tensor:
        """Returns a tensor of the wider MLP, float32 or wider."""
        block = self.block_of[name]
        facets = self._facets(name)
        if name in self._statistics:
            fitted = fit_output(*self._statistics[name])
            return fitted if facets[0].axis == 1 else fitted.T.contiguous()
        mine, theirs = self._first(name), self._second(name)
        pieces = []
        for facet in facets:  # a fused tensor has one facet per projection
            merge = merge_consumer if facet.reads else merge_producer
            a, b = (tensor.index_select(facet.axis, facet.positions[0]) for tensor in (mine, theirs))
            pieces.append(merge(a, b, self._partition(block), facet.axis))
        return torch.cat(pieces, dim=facets[0].axis)

    def shape(self, name: str, shape: tuple[int, ...], width: int) -> tuple[int, ...]:
        """Returns the shape that a tensor will have."""
        if name not in self.block_of:
            return shape
        facets = self._facets(name)
        axis = facets[0].axis
        return (*shape[:axis], len(facets) * width, *shape[axis + 1 :])

    def _facets(self, name: str) -> list[Facet]:
        return [facet for facet in self.block_of[name].facets if name in facet.tensors]

    def _partition(self, block: Block) -> Partition:
        if block.name not in self._partitions:
            ((_, group),) = block.groups
            mine, theirs = (unit_tensors(block, 0, read) for read in (self._first, self._second))
            scores = similarity(mine, theirs, group)
            self._partitions[block.name] = partition_units(scores, assign(scores), self._ratio)
        return self._partitions[block.name]


def _mlps(layout: Layout, blocks: list[Block]) -> dict[str, Block]:
    mlps = {block.name: block for block in blocks if any("hidden" in facet.inner for facet in block.facets)}
    remedy = "use weight matching, which keeps the architecture"
    field = str(layout.parent)
    if any(".experts" in block.name or ".shared_expert" in block.name for block in mlps.values()):
        raise MismatchError(field, "is a mixture of experts, whose width is not that of its MLPs", remedy)
    widths = sorted({_output(block).length for block in mlps.values()})
    if len(mlps) != layout.layers or len(widths) != 1:
        detail = f"has {len(mlps)} MLPs of widths {widths} in {layout.layers} layers"
        raise MismatchError(field, detail, remedy)
    return mlps


def _output(block: Block) -> Facet:
    return next(facet for facet in block.facets if facet.reads)


def _width_key(layout: Layout, hidden: int) -> str:
    config = text_config(layout)
    keys = [key for key in WIDTH_KEYS if config.get(key) == hidden]
    if not keys and "n_inner" in config and config["n_inner"] is None:
        keys = ["n_inner"]  # GPT-2's default: four times the hidden size
    if len(keys) != 1:
        detail = f"config.json gives the MLP width {hidden} under {keys or 'no known key'}"
        raise MismatchError(str(layout.parent), detail, f"it must stand under one of {', '.join(WIDTH_KEYS)}")
    return keys[0]


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """Yields a hidden folder on the same disk, which is gone afterwards."""
    folder = folder.expanduser().absolute()
    partial = name_of_partial(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        dispose_of_leftovers(folder)
        partial.mkdir()
    except OSError as error:
        detail = f"cannot be written ({error.strerror or error})"
        raise ExportError(str(folder), detail, "check the path, its rights and the disk") from error
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _average(first: Tensor, second: Tensor) -> Tensor:
    if not first.is_floating_point():
        return first
    wide = torch.promote_types(first.dtype, torch.float32)
    return (first.to(wide) + second.to(wide)) / 2


def _settings(order: PartialMergeOrder) -> dict[str, object]:
    return {
        "parents": [str(order.first), str(order.second)],
        "ratio": order.ratio,
        "seed": order.seed,
        "texts": order.texts,
        "texts_used": order.texts_used,
        "length": order.length,
    }
