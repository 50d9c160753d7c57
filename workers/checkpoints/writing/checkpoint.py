"""Writes ordinary Hugging Face checkpoint folders, tensor by tensor, complete or not at all.

The folder is made beside its final place under another name, written, flushed to disk, and renamed.
Memory is bounded by the tensors under way, or by their rows where they come in pieces.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from workers.checkpoints.tensor_digests import folder_digest
from workers.checkpoints.writing.descriptions import generated
from workers.checkpoints.writing.merge_journal import MergeJournal, Written
from workers.checkpoints.writing.shard_writer import QUEUED, Piece, ShardWriter
from workers.checkpoints.writing.shards import Shard, StoredTensor, cut_into_shards
from workers.checkpoints.writing.staging import (
    dispose_of_leftovers,
    files_in,
    name_of_partial,
    put_in_place,
    shared_partial,
    sync,
)
from workers.errors import ExportError, FolderTakenError, WorkerError
from workers.protocol.messages import Exported, Progress

__all__ = [
    "Check",
    "Complete",
    "Contents",
    "Finished",
    "Progress",
    "StoredTensor",
    "continue_checkpoint",
    "write_checkpoint",
]

STORED_NAMES: Mapping[str, str] = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0", "int64": "I64", "int32": "I32", "int16": "I16",
    "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
ROOM_TO_SPARE = 64 * 2**20  # bytes

_FILES, _JOURNAL = "checkpoint", "journal"  # inside an unfinished folder that can be continued

Check = Callable[[Path], str]
"""Looks at a folder that is complete but has no name yet; returns what was found right, or raises.  It may
write into the folder's descriptions."""
Complete = Callable[[Path, Mapping[str, str]], None]
"""Adds to a folder what needs the SHA-256 of its tensors, by name; before the folder is checked."""
Finished = Callable[[Path], None]
"""Is told of a file of weights that is complete, on the thread that wrote it."""
Tensors = Iterable[tuple[str, Tensor]]
"""In the announced order; a tensor may come in several pieces, each some of its rows."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into a checkpoint folder.

    Attributes:
        config: For config.json.
        tensors: What `write_checkpoint` will be given, in this order.
        copied: Files taken over as they are (tokenizer, processor), by path from the folder, with slashes.
        texts: Files given as text or as bytes, likewise (`README.md`); they stand in for copied ones.
        shard_bytes: The most that one safetensors file holds.
        queued: Bytes that may wait for the disk, or one piece of any size.
    """

    config: Mapping[str, Any]
    tensors: Sequence[StoredTensor]
    copied: Mapping[str, Path] = field(default_factory=dict)
    texts: Mapping[str, str | bytes] = field(default_factory=dict)
    shard_bytes: int = 5_000_000_000
    queued: int = QUEUED


def write_checkpoint(
    contents: Contents,
    tensors: Tensors,
    folder: Path,
    *,
    replace: bool = False,
    progress: Progress | None = None,
    check: Check | None = None,
) -> Exported:
    """Writes a checkpoint folder; the name appears when it is complete and was checked.

    Raises:
        ExportError: The folder exists already, the disk is full, nothing can be written there, or the
            check found something wrong.
        MergeError: The tensors are not those that were announced.
    """
    with _explained(folder):
        folder = _place(folder, replace=replace)
        _check_room(folder.parent, contents)
        partial = name_of_partial(folder)
        try:
            partial.mkdir()
            shards = cut_into_shards(contents.tensors, contents.shard_bytes)
            told = progress or (lambda *_: None)
            writer = ShardWriter(partial, shards, MergeJournal.none(), Written(), told, contents.queued)
            return _fill(writer, contents, shards, tensors, _Places(partial, folder, check))
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def continue_checkpoint(
    contents: Contents,
    tensors_from: Callable[[int], Tensors],
    folder: Path,
    *,
    key: str,
    restart: bool = False,
    replace: bool = False,
    progress: Progress | None = None,
    check: Check | None = None,
    complete: Complete | None = None,
    finished: Finished | None = None,
) -> Exported:
    """Writes a checkpoint folder, after the last tensor that a killed process completed under this key.

    The unfinished folder stays when the process is killed or interrupted, or the disk is full.  It
    is deleted when the tensors cannot be made.

    Args:
        contents: What goes into the folder.
        tensors_from: Returns the tensors from this number on.
        folder: The final place.
        key: Changes with everything that the weights depend on.
        restart: Begin anew, whatever is there.
        replace: Replace a folder that exists.
        progress: Called for every tensor, at first of the last one that was there.
        check: Looks at the folder before it gets its name.
        complete: Adds to the folder before that.
        finished: Told of every safetensors file that is complete; its folder is renamed in the end.

    Raises:
        ExportError: The folder exists already or is being written by another process, the disk is
            full, nothing can be written there, or the check found something wrong.
        MergeError: The tensors are not those that were announced.
    """
    with _explained(folder):
        folder = _place(folder, replace=replace)
        with shared_partial(folder) as partial:
            if restart:
                _empty(partial)
            shards = cut_into_shards(contents.tensors, contents.shard_bytes)
            (partial / _FILES).mkdir(exist_ok=True)
            journal, written = MergeJournal.go_on(partial / _JOURNAL, key, shards, partial / _FILES)
            told = progress or (lambda *_: None)
            writer = ShardWriter(
                partial / _FILES, shards, journal, written, told, contents.queued, finished=finished
            )
            try:
                _check_room(folder.parent, contents, spared=writer.bytes)
                if written.tensors:
                    told(written.tensors, writer.bytes)
                tensors = tensors_from(written.tensors)
                places = _Places(partial / _FILES, folder, check, complete)
                exported = _fill(writer, contents, shards, tensors, places)
            except BaseException as error:
                if isinstance(error, WorkerError) or not written.tensors:
                    shutil.rmtree(partial, ignore_errors=True)
                raise
            finally:
                journal.close()
            shutil.rmtree(partial, ignore_errors=True)
        return exported


@dataclass(frozen=True, slots=True)
class _Places:
    """Where a folder is made, and where it will be once it was checked."""

    partial: Path
    final: Path
    check: Check | None
    complete: Complete | None = None


def _place(folder: Path, *, replace: bool) -> Path:
    """Readies the folder's surroundings; returns where it will be."""
    folder = folder.expanduser().absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    dispose_of_leftovers(folder)
    _check_place(folder, replace=replace)
    return folder


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _fill(
    writer: ShardWriter, contents: Contents, shards: Sequence[Shard], tensors: Tensors, places: _Places
) -> Exported:
    """Writes everything, and gives the folder its final name."""
    with writer:
        for name, tensor in tensors:
            writer.put(_piece(name, tensor))
            del tensor  # written by another thread, and then free
        writer.finish()
    _write_descriptions(contents, shards, places.partial)
    if places.complete is not None:
        places.complete(places.partial, writer.digests)
    verified = places.check(places.partial) if places.check is not None else ""
    exported = replaced(_describe(places, writer.digests), verified=verified)
    sync(places.partial)
    put_in_place(places.partial, places.final)
    return exported


def _piece(name: str, tensor: Tensor) -> Piece:
    dtype = str(tensor.dtype).removeprefix("torch.")
    flat = tensor.detach().to("cpu").contiguous().reshape(-1)
    content = flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")
    return Piece(name, tuple(tensor.shape), STORED_NAMES.get(dtype, dtype), content)


def _write_descriptions(contents: Contents, shards: Sequence[Shard], partial: Path) -> None:
    for name, content in generated(contents.config, contents.tensors, shards).items():
        (partial / name).write_bytes(content)
    for name, source in contents.copied.items():
        shutil.copyfile(source, _new_file(partial, name))
    for name, text in contents.texts.items():
        _new_file(partial, name).write_bytes(text.encode() if isinstance(text, str) else text)


def _new_file(partial: Path, name: str) -> Path:
    """Returns where a file goes; its sub-folder is made.

    Raises:
        ExportError: It would lie outside the checkpoint's folder, or be hidden.
    """
    parts = name.split("/")
    if any(part == "" or part.startswith(".") or not part.isprintable() for part in parts):
        raise ExportError(repr(name), "is no plain file name", "give a name without .. and leading dots")
    path = partial.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _describe(places: _Places, known: Mapping[str, str]) -> Exported:
    """Names the files, their size, and one digest over all of them; `known` are the tensors'."""
    paths = files_in(places.partial)
    size = sum(path.stat().st_size for path in paths.values())
    return Exported(str(places.final), tuple(paths), size, folder_digest(paths, known))


def _check_place(folder: Path, *, replace: bool) -> None:
    empty = folder.is_dir() and not any(folder.iterdir())
    if os.path.lexists(folder) and not (replace or empty):
        raise FolderTakenError(str(folder))
    if folder.exists() and not folder.is_dir():
        raise ExportError(str(folder), "is a file", "choose another name")


def _check_room(place: Path, contents: Contents, *, spared: int = 0) -> None:
    needed = sum(tensor.bytes for tensor in contents.tensors) + ROOM_TO_SPARE - spared
    free = shutil.disk_usage(place).free
    if free < needed:
        raise ExportError(
            str(place),
            f"{needed / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are free",
            "make room, or write elsewhere",
        )


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(
            str(folder),
            f"cannot be written ({error.strerror or error})",
            "check the path, its rights and the disk",
        ) from error
