"""Records: what a calibration pass found out about a model, in one safetensors file per kind.

A record's keys are the names of the model's tensors.  Where it lies: workers/checkpoints/record_files.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from search_spaces import Parent
from workers.checkpoints.closing import Closing
from workers.checkpoints.layout import Layout
from workers.checkpoints.record_files import ELSEWHERE, find_record, fingerprint
from workers.errors import CheckpointError, ExportError, MergeError
from workers.merging.arithmetic.recorded import missing_record

_METADATA = "evomerge"


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """What a record says of itself.

    Attributes:
        fingerprint: Of the model it was made for.
        texts, tokens, seed: On how much it was made, and how that was drawn.
        aliases: Tensor -> the tensor under whose name the same numbers stand: layers that read one
            input have one Gram matrix.
    """

    kind: str
    fingerprint: str
    texts: int
    tokens: int
    seed: int
    aliases: Mapping[str, str]
    format: Literal[1] = 1

    def metadata(self) -> dict[str, str]:
        """Returns it as safetensors keeps it."""
        # One entry: safetensors writes several in no certain order, and equal records have equal bytes.
        return {_METADATA: json.dumps(asdict(self), sort_keys=True)}


_RECORD_FACTS = TypeAdapter(RecordFacts)


def write_record(path: Path, tensors: Mapping[str, Tensor], facts: RecordFacts) -> int:
    """Writes a record, which appears complete or not at all, and returns its size in bytes.

    Raises:
        ExportError: It cannot be written there.
    """
    partial = path.parent / f".{path.name}.partial-{os.getpid()}"
    contents = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(contents, partial, metadata=facts.metadata())
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        detail = f"cannot be written ({error})"
        raise ExportError(str(path), detail, f"make room, or set {ELSEWHERE} to another folder") from error
    finally:
        partial.unlink(missing_ok=True)
    return path.stat().st_size


class Records(Closing):
    """Reads the records of some models as they are asked for; files are mapped, not copied."""

    def __init__(self, layouts: Mapping[Parent, Layout]) -> None:
        self._layouts = layouts
        self._open: dict[tuple[Parent, str], tuple[Any, Mapping[str, str], frozenset[str]]] = {}
        self._stack = ExitStack()

    def record(self, parent: Parent, kind: str, tensor: str) -> Tensor | None:
        """Returns what is recorded of a parent's tensor; None where the record leaves it out.

        Raises:
            MergeError: The parent has no such record, or one that was made for other weights.
            CheckpointError: The record is broken.
        """
        if (parent, kind) not in self._open:
            self._open[parent, kind] = self._opened(parent, kind)
        file, aliases, names = self._open[parent, kind]
        name = aliases.get(tensor, tensor)
        return file.get_tensor(name) if name in names else None

    def close(self) -> None:
        """Closes the files."""
        self._stack.close()
        self._open.clear()

    def _opened(self, parent: Parent, kind: str) -> tuple[Any, Mapping[str, str], frozenset[str]]:
        layout = self._layouts[parent]
        path = find_record(layout, kind)
        if path is None:
            raise missing_record(str(parent), kind)
        facts, file = open_record(path, self._stack)
        if facts.kind != kind or facts.fingerprint != fingerprint(layout):
            detail = f"{path} was made for other weights than these"
            raise MergeError(str(parent), detail, f"run `evomerge calibrate {parent} --record {kind}` again")
        return file, facts.aliases, frozenset(file.keys())


def open_record(path: Path, stack: ExitStack) -> tuple[RecordFacts, Any]:
    """Returns what a record says of itself, and its open file, which the stack closes.

    Raises:
        CheckpointError: It is no record, or broken.
    """
    try:
        file = stack.enter_context(safe_open(str(path), framework="pt"))
        facts = _RECORD_FACTS.validate_json((file.metadata() or {}).get(_METADATA, ""))
    except (SafetensorError, OSError, ValueError) as error:
        cause = str(error).splitlines()[0]
        detail = f"is no record of evomerge ({cause})"
        raise CheckpointError(str(path), detail, "calibrate the model again") from error
    return facts, file
