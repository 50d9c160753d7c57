"""Applies M-SMoE to checkpoints of mixture-of-experts models.

The paper's model keeps its router: all experts of a group become one, which the router reaches under
any of their numbers.  `keep="duplicated"` writes just that as an ordinary checkpoint, in which a
group's expert stands once per member, and so saves no memory.  `keep="reduced"`, the default, writes
each group's expert once and gives it one router row, the members' rows weighted by use like the
experts themselves: a smaller model of the same architecture, whose routing is an approximation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from workers.checkpoints.layout import Layout, text_config
from workers.checkpoints.record_files import find_record, record_name
from workers.checkpoints.tensor_table import read_header
from workers.checkpoints.writing.checkpoint import StoredTensor
from workers.errors import CheckpointError, MergeError, MismatchError
from workers.operations.blocks import Block, BlockMatching, Facet, Read, Relocation, relocations, unit_tensors
from workers.operations.expert_merge import (
    dominant_experts,
    group_experts,
    row_similarity,
    weighted_expert,
)
from workers.operations.rewriting import (
    Report,
    changed_config,
    files_beside,
    open_parent,
    readers,
    rng_for,
    write_result,
)
from workers.operations.transformer_groups import transformer_blocks
from workers.operations.weight_matching import match_weights
from workers.protocol.messages import Transformed
from workers.protocol.transform_orders import ExpertMergeOrder

COUNT_KEYS = ("num_local_experts", "num_experts", "n_routed_experts")
USED_KEY = "num_experts_per_tok"
ROUTING_FILE = record_name("routing")


@dataclass(frozen=True, slots=True)
class Grouping:
    """What becomes of one layer's experts.

    Attributes:
        groups: The group of each expert, int64 [experts].
        frequencies: How often each is used.
    """

    groups: Tensor
    frequencies: Tensor

    def members(self, group: int) -> list[int]:
        """Returns the experts of a group."""
        found: list[int] = torch.nonzero(self.groups == group).reshape(-1).tolist()
        return found


def merge_experts(order: ExpertMergeOrder) -> Transformed:
    """Writes a mixture-of-experts model with fewer experts, or with equal ones.

    Raises:
        MismatchError: The model is no mixture of experts that is understood.
        MergeError: There are fewer experts than asked for, or a group that no text used.
        CheckpointError: The model or its routing record is missing or broken.
        ExportError: The folder cannot be written.
    """
    layout = open_parent(order.parent)
    mixtures = [block for block in transformer_blocks(layout) if block.many_large_units]
    _check(layout, mixtures, order)
    report = Report("expert merge", _settings(order))
    with readers(layout) as (read,):
        groupings = {block.name: _grouping(block, order, layout, read) for block in mixtures}
        layers = [_MixtureMerger(block, groupings[block.name], read, order) for block in mixtures]
        merger_of = {name: layer for layer in layers for name in layer.block.tensors}
        stored = [
            StoredTensor(name, shape, entry.dtype)
            for name, entry in layout.tensors.items()
            if (shape := merger_of[name].shape(name, entry.shape) if name in merger_of else entry.shape)
            is not None
        ]

        def tensors() -> Iterator[tuple[str, Tensor]]:
            for announced in stored:
                original = read(announced.name)
                layer = merger_of.get(announced.name)
                merged = original if layer is None else layer.merged(announced.name)
                yield announced.name, merged.to(original.dtype)

        report.results.update({name: found.groups.tolist() for name, found in groupings.items()})
        return write_result(
            order.destination,
            _config(layout, order),
            stored,
            tensors(),
            report=report,
            owner=layout,
            copied=files_beside(layout),
        )


class _MixtureMerger:
    """Merges the experts of one layer; they are aligned when the first tensor is asked for."""

    def __init__(self, block: Block, grouping: Grouping, read: Read, order: ExpertMergeOrder) -> None:
        self.block = block
        self._grouping, self._read = grouping, read
        self._count, self._reduced = order.experts, order.keep == "reduced"
        self._places = {
            name: (facet, expert) for facet in block.facets for expert, name in enumerate(facet.tensors)
        }
        self._aligned: Mapping[str, Relocation] | None = None

    def shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """Returns the shape that a tensor will have, or None when its expert is gone."""
        facet, expert = self._places[name]
        if not self._reduced:
            return shape
        if not facet.inner:
            return (self._count, *shape[1:])
        return shape if expert < self._count else None

    def merged(self, name: str) -> Tensor:
        """Returns an expert's tensor, or the router's."""
        facet, expert = self._places[name]
        if facet.inner:
            group = expert if self._reduced else int(self._grouping.groups[expert])
            return self._merged_expert(facet, group)
        if not self._reduced:
            return self._read(name)
        rows = self._read(name)
        merged = []
        for group in range(self._count):
            members = self._grouping.members(group)
            merged.append(weighted_expert([rows[member] for member in members], self._uses(members)))
        return torch.stack(merged)

    def _merged_expert(self, facet: Facet, group: int) -> Tensor:
        if self._aligned is None:
            self._aligned = self._align()
        members = self._grouping.members(group)
        tensors = [self._aligned[facet.tensors[member]].apply(self._read) for member in members]
        return weighted_expert(tensors, self._uses(members))

    def _uses(self, members: list[int]) -> list[float]:
        found: list[float] = self._grouping.frequencies[members].tolist()
        return found

    def _align(self) -> Mapping[str, Relocation]:
        """Brings each expert's hidden units into the order of its group's dominant expert."""
        dominant = dominant_experts(self._grouping.frequencies, self._grouping.groups)
        ((name, group),) = self.block.groups
        numbers = {number for number, _ in group}
        inner = []
        for expert in range(self.block.units):
            leader = dominant[int(self._grouping.groups[expert])]
            mine, theirs = (
                {n: t for n, t in unit_tensors(self.block, unit, self._read).items() if n in numbers}
                for unit in (leader, expert)
            )
            found = match_weights(mine, theirs, [group], rng_for(0, self.block.name))
            inner.append({name: found.permutations[0]})
        units = torch.arange(self.block.units)
        return relocations(self.block, BlockMatching(units, tuple(inner), before=0.0, after=0.0))


def _grouping(block: Block, order: ExpertMergeOrder, layout: Layout, read: Read) -> Grouping:
    router = next(facet.tensors[0] for facet in block.facets if not facet.inner)
    usual = find_record(layout, "routing") or layout.folder / ROUTING_FILE
    path = Path(order.routing) if order.routing is not None else usual
    frequencies = _recorded(path, router, "frequency", (block.units,))
    if order.similarity == "logits":
        similarity = _recorded(path, router, "similarity", (block.units, block.units))
    else:
        similarity = row_similarity(read(router))
    groups = group_experts(frequencies, similarity, order.experts)
    grouping = Grouping(groups, frequencies)
    for group in range(order.experts):  # refused now rather than when half is written
        if not bool((frequencies[grouping.members(group)] > 0).any()):
            raise MergeError(
                block.name,
                f"no text used experts {grouping.members(group)}, which would make a group",
                "calibrate on more texts, or ask for fewer experts",
            )
    return grouping


def _recorded(path: Path, router: str, kind: str, shape: tuple[int, ...]) -> Tensor:
    remedy = "run `evomerge calibrate MODEL --record routing`"
    if not path.is_file():
        raise CheckpointError(str(path), "there is no routing record", remedy)
    key = f"{router.removesuffix('.weight')}.{kind}"
    entry = read_header(path).get(key)
    if entry is None or entry.shape != shape:
        found = "missing" if entry is None else f"of shape {list(entry.shape)}, not {list(shape)}"
        raise CheckpointError(str(path), f"{key!r} is {found}", remedy)
    try:
        with safe_open(str(path), framework="pt") as file:
            tensor: Tensor = file.get_tensor(key)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(str(path), f"cannot be read ({error})", remedy) from error
    return tensor.double()


def _check(layout: Layout, mixtures: list[Block], order: ExpertMergeOrder) -> None:
    field = str(layout.parent)
    if not mixtures:
        detail = f"a {layout.architecture} has no experts with a router that are understood"
        raise MismatchError(field, detail, "give a mixture of experts such as Mixtral or Qwen-MoE")
    counts = sorted({block.units for block in mixtures})
    if not 1 <= order.experts <= counts[0]:
        raise MergeError("experts", f"is {order.experts}, layers have {counts}", f"ask for 1 to {counts[0]}")
    if order.keep == "reduced" and (len(counts) > 1 or not _count_keys(layout, counts[0])):
        detail = f"config.json gives no one number of experts (layers have {counts})"
        raise MismatchError(field, detail, "keep the number of experts: --keep duplicated")


def _config(layout: Layout, order: ExpertMergeOrder) -> dict[str, object]:
    if order.keep == "duplicated":
        return changed_config(layout)
    config = text_config(layout)
    count = next(config[key] for key in COUNT_KEYS if key in config)
    changes = dict.fromkeys(_count_keys(layout, count), order.experts)
    used = config.get(USED_KEY)
    if isinstance(used, int):
        changes[USED_KEY] = min(used, order.experts)
    return changed_config(layout, **changes)


def _count_keys(layout: Layout, count: int) -> list[str]:
    config = text_config(layout)
    return [key for key in COUNT_KEYS if config.get(key) == count]


def _settings(order: ExpertMergeOrder) -> dict[str, object]:
    return {
        "parent": str(order.parent),
        "experts": order.experts,
        "keep": order.keep,
        "similarity": order.similarity,
    }
