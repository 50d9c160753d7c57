"""Writes ordinary Hugging Face checkpoint folders, tensor by tensor, complete or not at all.

The folder is made beside its final place under another name, written, flushed to disk, and renamed.
Memory is bounded by the largest tensor: sizes are known before any tensor is merged, so that a
file's header can be written first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from workers.configuration import SAFETENSORS_NAMES
from workers.errors import ExportError, MergeError
from workers.messages import Exported
from workers.staging import dispose_of_leftovers, name_of_partial, put_in_place, sync
from workers.tensor_table import BITS, INDEX_FILE, SINGLE_FILE

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
ROOM_TO_SPARE = 64 * 2**20  # bytes

Progress = Callable[[int, int], None]  # tensors written, bytes written


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor that will be written: `dtype` as safetensors writes it."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Its size in the file."""
        return int(torch.Size(self.shape).numel()) * BITS[self.dtype] // 8


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into a checkpoint folder.

    Attributes:
        config: For config.json.
        tensors: What `write_checkpoint` will be given, in this order.
        copied: Files taken over as they are (tokenizer, generation settings).
        texts: Files given as text, by name (`README.md`).
    """

    config: Mapping[str, Any]
    tensors: Sequence[StoredTensor]
    copied: Sequence[Path] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    shard_bytes: int = 5_000_000_000


def write_checkpoint(
    contents: Contents,
    tensors: Iterable[tuple[str, Tensor]],
    folder: Path,
    *,
    replace: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Writes a checkpoint folder; the name appears when it is complete.

    Raises:
        ExportError: The folder exists already, the disk is full, or nothing can be written there.
        MergeError: The tensors are not those that were announced.
    """
    with _explained(folder):
        folder = folder.expanduser().absolute()
        folder.parent.mkdir(parents=True, exist_ok=True)
        dispose_of_leftovers(folder)
        _check_place(folder, replace=replace)
        _check_room(folder.parent, contents)
        partial = name_of_partial(folder)
        try:
            partial.mkdir()
            _write_weights(contents, iter(tensors), partial, progress or (lambda *_: None))
            _write_descriptions(contents, partial)
            exported = _describe(partial, folder)
            sync(partial)
            put_in_place(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return exported


def tokenizer_files(folder: Path) -> list[Path]:
    """Returns a checkpoint's tokenizer and generation files."""
    return [folder / n for n in (*TOKENIZER_FILES, "generation_config.json") if (folder / n).is_file()]


def shards_of(tensors: Sequence[StoredTensor], shard_bytes: int) -> list[list[StoredTensor]]:
    """Cuts the tensors, in order, into files of at most `shard_bytes`, or of one tensor."""
    shards: list[list[StoredTensor]] = [[]]
    filled = 0
    for tensor in tensors:
        if shards[-1] and filled + tensor.bytes > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += tensor.bytes
    return shards


def _write_weights(
    contents: Contents, tensors: Iterator[tuple[str, Tensor]], partial: Path, progress: Progress
) -> None:
    shards = shards_of(contents.tensors, contents.shard_bytes)
    total = sum(tensor.bytes for tensor in contents.tensors)
    count, written = 0, 0
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        single = len(shards) == 1
        name = SINGLE_FILE if single else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        with (partial / name).open("wb") as file:
            _write_header(file, shard)
            for stored in shard:
                _write_tensor(file, stored, next(tensors, None))
                weight_map[stored.name] = name
                count, written = count + 1, written + stored.bytes
                progress(count, written)
    surplus = next(tensors, None)
    if surplus is not None:
        raise MergeError(surplus[0], "was not announced", "report this as a mistake of evomerge")
    if len(shards) > 1:
        _write_json(partial / INDEX_FILE, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _write_header(file: BinaryIO, shard: Sequence[StoredTensor]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for tensor in shard:
        places = [position, position + tensor.bytes]
        header[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": places}
        position += tensor.bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data begins at a multiple of eight
    file.write(struct.pack("<Q", len(text)) + text)


def _write_tensor(file: BinaryIO, stored: StoredTensor, item: tuple[str, Tensor] | None) -> None:
    name, tensor = item if item is not None else ("nothing", torch.empty(0))
    found = SAFETENSORS_NAMES.get(str(tensor.dtype).removeprefix("torch."), stored.dtype)
    if (name, tuple(tensor.shape), found) != (stored.name, stored.shape, stored.dtype):
        raise MergeError(
            stored.name,
            f"announced with shape {list(stored.shape)} as {stored.dtype}, got {name} with shape "
            f"{list(tensor.shape)} as {found}",
            "report this as a mistake of evomerge",
        )
    raw = tensor.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8)
    file.write(raw.numpy().data)


def _write_descriptions(contents: Contents, partial: Path) -> None:
    _write_json(partial / "config.json", contents.config)
    for path in contents.copied:
        shutil.copyfile(path, partial / path.name)
    for name, text in contents.texts.items():
        if Path(name).name != name or name.startswith("."):
            raise ExportError(name, "is no plain file name", "give a name without folders")
        (partial / name).write_text(text, encoding="utf-8")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _describe(partial: Path, folder: Path) -> Exported:
    """Names the files, their size, and one digest over all of them."""
    paths = sorted(partial.iterdir())
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{content}  {path.name}\n".encode())
    size = sum(path.stat().st_size for path in paths)
    return Exported(str(folder), tuple(path.name for path in paths), size, digest.hexdigest())


def _check_place(folder: Path, *, replace: bool) -> None:
    empty = folder.is_dir() and not any(folder.iterdir())
    if os.path.lexists(folder) and not (replace or empty):
        raise ExportError(str(folder), "exists already", "choose another folder, or ask to replace it")
    if folder.exists() and not folder.is_dir():
        raise ExportError(str(folder), "is a file", "choose another name")


def _check_room(place: Path, contents: Contents) -> None:
    needed = sum(tensor.bytes for tensor in contents.tensors) + ROOM_TO_SPARE
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
