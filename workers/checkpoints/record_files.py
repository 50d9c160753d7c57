"""Where the records of calibration passes lie.  Torch-free.

A record lies beside its model, or, where the model's folder is not ours to write to (the Hub's cache, a
read-only disk, a model with an adapter), in a folder of the user's under the model's fingerprint:
`$EVOMERGE_RECORDS`, or `~/.cache/evomerge/records`.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from workers.checkpoints.layout import Change, Layout
from workers.checkpoints.tensor_table import INDEX_FILE, SINGLE_FILE

ELSEWHERE = "EVOMERGE_RECORDS"
_SAMPLES = 64  # of a file's bytes
_SAMPLE_BYTES = 4096
_NOT_OF_THE_MODEL = ("_name_or_path", "transformers_version")


def record_name(kind: str) -> str:
    """Returns the name of a record's file."""
    return f"evomerge_{kind}.safetensors"


def fingerprint(layout: Layout) -> str:
    """Returns 64 hexadecimal digits that change with the model's weights.

    They come from its configuration, its tensor table, and 64 samples of 4 KiB of each of its files: a
    model that was trained on differs in every one of them.
    """
    layout = layout.stored or layout  # the same for a controller, which sees the files alone
    digest = hashlib.sha256()
    config = {key: value for key, value in layout.config.items() if key not in _NOT_OF_THE_MODEL}
    table = {name: [entry.dtype, *entry.shape] for name, entry in layout.tensors.items()}
    digest.update(json.dumps([config, table], sort_keys=True, default=str).encode())
    changes = {entry.change for entry in layout.tensors.values() if entry.change is not None}
    digest.update("\n".join(sorted(map(_told, changes))).encode())
    files = {entry.file for entry in layout.tensors.values()} | {change.file for change in changes}
    for file in sorted(files):
        _add_samples(digest, file)
    return digest.hexdigest()


def _told(change: Change) -> str:
    """Returns what a change is, without the place of its file."""
    return repr(replace(change, file=Path(change.file.name)))


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


def _add_samples(digest: Any, path: Path) -> None:  # noqa: ANN401 - hashlib's own type is private
    size = path.stat().st_size
    digest.update(f"{path.name} {size}".encode())
    with path.open("rb") as file:
        last = max(size - _SAMPLE_BYTES, 0)
        for start in sorted({last * number // (_SAMPLES - 1) for number in range(_SAMPLES)}):
            file.seek(start)
            digest.update(file.read(_SAMPLE_BYTES))
