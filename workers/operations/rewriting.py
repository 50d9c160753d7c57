"""Reads checkpoints tensor by tensor, and writes what an operation made of them as a new one."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from search_spaces import Parent
from workers.checkpoints.companions import companions_of
from workers.checkpoints.layout import Layout
from workers.checkpoints.parents import CheckpointReader, check_finite
from workers.checkpoints.verification.loading_check import check_loads
from workers.checkpoints.writing.checkpoint import Contents, StoredTensor, write_checkpoint
from workers.compatibility.loaded_parents import load_parent
from workers.errors import CheckpointError
from workers.operations.blocks import Read
from workers.protocol.messages import Exported, Transformed
from workers.protocol.transform_orders import Destination

REPORT_FILE = "evomerge_operation.json"


@dataclass(slots=True)
class Report:
    """What an operation did; it is filled while tensors are written, and laid beside them."""

    operation: str
    settings: Mapping[str, object]
    results: dict[str, object] = field(default_factory=dict)

    def text(self) -> str:
        """Returns it as JSON."""
        content = {"operation": self.operation, "settings": dict(self.settings), "results": self.results}
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def open_parent(parent: Parent) -> Layout:
    """Returns the layout of a parent, downloaded where it must be.

    Raises:
        CheckpointError: It is missing or broken, or has an adapter.
    """
    if parent.adapter is not None:
        detail = "has an adapter, which this operation does not apply"
        raise CheckpointError(str(parent), detail, "merge the adapter into the model first")
    return load_parent(parent)


@contextmanager
def readers(*layouts: Layout) -> Iterator[tuple[Read, ...]]:
    """Yields one function per checkpoint that reads its tensors by name, and refuses NaN and infinity."""
    with CheckpointReader({layout.parent: layout for layout in layouts}) as reader:

        def reader_of(layout: Layout) -> Read:
            def read(name: str) -> Tensor:
                tensor = reader.read(layout.parent, name)
                check_finite(layout.parent, name, tensor)
                return tensor

            return read

        yield tuple(reader_of(layout) for layout in layouts)


def stored_as(layout: Layout, shapes: Mapping[str, tuple[int, ...]] | None = None) -> list[StoredTensor]:
    """Returns a checkpoint's tensors as they will be written; `shapes` names those whose shape changes."""
    changed = shapes or {}
    return [
        StoredTensor(name, changed.get(name, entry.shape), entry.dtype)
        for name, entry in layout.tensors.items()
    ]


def changed_config(layout: Layout, **changes: object) -> dict[str, Any]:
    """Returns a checkpoint's configuration with these entries changed wherever it has them."""
    config: dict[str, Any] = copy.deepcopy(dict(layout.config))
    config.pop("_name_or_path", None)  # a path on the machine that made the parent
    for part in (config, config.get("text_config")):
        if isinstance(part, dict):
            part.update({key: value for key, value in changes.items() if key in part})
    return config


def write_result(
    destination: Destination,
    config: Mapping[str, Any],
    stored: Sequence[StoredTensor],
    tensors: Iterable[tuple[str, Tensor]],
    *,
    report: Report,
    owner: Layout,
    copied: Mapping[str, Path],
    texts: Mapping[str, str] | None = None,
) -> Transformed:
    """Writes the folder, complete or not at all, with the operation's report beside the weights.

    Args:
        destination: Where to.
        config: For config.json.
        stored: What `tensors` will yield.
        tensors: The weights.
        report: What the operation did.
        owner: The checkpoint that the configuration comes from.
        copied: Files taken over, by path.
        texts: Files given as text, by path.

    Raises:
        ExportError: The folder exists already, the disk is full, nothing can be written there, or
            transformers cannot load what was written.
    """
    texts = dict(texts or {})

    def and_then_the_report() -> Iterator[tuple[str, Tensor]]:
        yield from tensors
        texts[REPORT_FILE] = report.text()  # complete only now; texts are written after the weights

    def loads(folder: Path) -> str:
        return check_loads(folder, destination.folder, owner=owner.folder)

    contents = Contents(config, stored, copied=copied, texts=texts, shard_bytes=destination.shard_bytes)
    exported: Exported = write_checkpoint(
        contents,
        and_then_the_report(),
        Path(destination.folder),
        replace=destination.replace,
        check=loads if destination.verify else None,
    )
    return Transformed(exported, report.text())


def files_beside(layout: Layout) -> dict[str, Path]:
    """Returns the files that go with a checkpoint's weights, by path from its folder."""
    return companions_of(layout.folder)


def rng_for(seed: int, name: str) -> np.random.Generator:
    """Returns a generator for one part of a model, whatever the other parts and their order."""
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng([seed % 2**64, int.from_bytes(digest[:8], "big")])
