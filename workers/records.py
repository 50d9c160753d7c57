"""Records: what a calibration pass found out about a model, in one safetensors file per kind.

A record lies beside its model, or, where the model's folder is not ours to write to (the Hub's cache, a
read-only disk, a model with an adapter), in a folder of the user's under the model's fingerprint:
`$EVOMERGE_RECORDS`, or `~/.cache/evomerge/records`.  Its keys are the names of the model's tensors.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from search_spaces import Parent
from workers.errors import CheckpointError, ExportError, MergeError
from workers.layout import Layout
from workers.merging.recorded import missing_record
from workers.tensor_table import INDEX_FILE, SINGLE_FILE

_METADATA = "evomerge"
ELSEWHERE = "EVOMERGE_RECORDS"
_SAMPLES = 64  # of a file's bytes
_SAMPLE_BYTES = 4096
_NOT_OF_THE_MODEL = ("_name_or_path", "transformers_version")


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


def record_name(kind: str) -> str:
    """Returns the name of a record's file."""
    return f"evomerge_{kind}.safetensors"


def fingerprint(layout: Layout) -> str:
    """Returns 64 hexadecimal digits that change with the model's weights.

    They come from its configuration, its tensor table, and 64 samples of 4 KiB of each of its files: a
    model that was trained on differs in every one of them.
    """
    digest = hashlib.sha256()
    config = {key: value for key, value in layout.config.items() if key not in _NOT_OF_THE_MODEL}
    table = {name: [entry.dtype, *entry.shape] for name, entry in layout.tensors.items()}
    digest.update(json.dumps([config, table], sort_keys=True, default=str).encode())
    changes = {entry.change for entry in layout.tensors.values() if entry.change is not None}
    for change in sorted(changes, key=lambda change: (change.down, change.up)):
        digest.update(f"{change.down} {change.up} {change.scale!r} {change.transposed}".encode())
    files = {entry.file for entry in layout.tensors.values()} | {change.file for change in changes}
    for file in sorted(files):
        _add_samples(digest, file)
    return digest.hexdigest()


def _add_samples(digest: Any, path: Path) -> None:  # noqa: ANN401 - hashlib's own type is private
    size = path.stat().st_size
    digest.update(f"{path.name} {size}".encode())
    with path.open("rb") as file:
        last = max(size - _SAMPLE_BYTES, 0)
        for start in sorted({last * number // (_SAMPLES - 1) for number in range(_SAMPLES)}):
            file.seek(start)
            digest.update(file.read(_SAMPLE_BYTES))


def folder_for_records(layout: Layout) -> Path:
    """Returns where a model's records are written."""
    parent, folder = layout.parent, layout.folder
    own = parent.adapter is None and Path(parent.model).expanduser().is_dir()
    # Beside weights of another name a second safetensors file would make the checkpoint ambiguous.
    usual = (folder / SINGLE_FILE).is_file() or (folder / INDEX_FILE).is_file()
    if own and usual and os.access(folder, os.W_OK) and ELSEWHERE not in os.environ:
        return folder
    return _elsewhere(layout)


def find_record(layout: Layout, kind: str) -> Path | None:
    """Returns the file of a model's record: the one beside it before the one in the user's folder."""
    beside = [] if layout.parent.adapter is not None else [layout.folder / record_name(kind)]
    places: list[Path] = [*beside, _elsewhere(layout) / record_name(kind)]
    return next((path for path in places if path.is_file()), None)


def _elsewhere(layout: Layout) -> Path:
    root = os.environ.get(ELSEWHERE) or Path.home() / ".cache" / "evomerge" / "records"
    return Path(root).expanduser() / fingerprint(layout)[:32]


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


class Records:
    """Reads the records of some models as they are asked for; files are mapped, not copied."""

    def __init__(self, layouts: Mapping[Parent, Layout]) -> None:
        self._layouts = layouts
        self._open: dict[tuple[Parent, str], tuple[Any, Mapping[str, str], frozenset[str]]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
