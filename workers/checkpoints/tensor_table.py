"""Reads which tensors a checkpoint's safetensors files hold, without reading any of them.

A file begins with eight bytes, the length of a JSON header; the header gives every tensor's type,
shape and place; the tensors follow, back to back, to the end of the file.  Everything here is
checked against hard limits, because checkpoints come from unknown authors.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from workers.checkpoints.layout import TensorEntry
from workers.errors import CheckpointError

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
LARGEST_HEADER = 16 * 2**20
LARGEST_JSON = 64 * 2**20
LONGEST_NAME = 512
MOST_TENSORS = 200_000
MOST_DIMENSIONS = 8

BITS: Mapping[str, int] = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8,
}  # fmt: skip
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_SHARD_NAME = re.compile(r"[\w.-]+\.safetensors")
_NO_NAME = re.compile(r"[\x00-\x1f\x7f/\\]")  # what no tensor's name needs, and paths and terminals act on
_AGAIN = "download or save the checkpoint again"


def read_tensor_table(folder: Path) -> dict[str, TensorEntry]:
    """Returns every tensor of the checkpoint in a folder, by name.

    Raises:
        CheckpointError: There are no safetensors, or they are broken.
    """
    index = folder / INDEX_FILE
    if os.path.lexists(index):
        return _read_shards(folder, read_index(index))
    single = folder / SINGLE_FILE
    if os.path.lexists(single):
        return read_header(single)
    found = sorted(folder.glob("*.safetensors"))
    if len(found) == 1:
        return read_header(found[0])
    if found:
        raise CheckpointError(
            str(folder), f"{len(found)} safetensors files and no {INDEX_FILE}", "add the index file"
        )
    raise _no_safetensors(folder)


def read_index(path: Path) -> dict[str, str]:
    """Returns the shard that holds each tensor.

    Raises:
        CheckpointError: The index is malformed, or names a file outside the folder.
    """
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or len(weight_map) > MOST_TENSORS:
        raise CheckpointError(str(path), "has no usable weight_map", _AGAIN)
    for tensor, shard in weight_map.items():
        if not isinstance(shard, str) or not _SHARD_NAME.fullmatch(shard):
            raise CheckpointError(
                str(path),
                f"puts {tensor!r} into {shard!r}, which is no plain file name",
                "use shards that lie beside the index",
            )
    spelt = Counter(shard.casefold() for shard in set(weight_map.values()))
    if spelt and max(spelt.values()) > 1:
        raise CheckpointError(str(path), "names shards that differ in upper and lower case alone", _AGAIN)
    return weight_map


def read_header(path: Path) -> dict[str, TensorEntry]:
    """Returns the tensors of one safetensors file.

    Raises:
        CheckpointError: The file is cut short, or its header is malformed.
    """
    with open_plainly(path) as (file, size):
        start = file.read(8)
        if len(start) < 8:
            raise CheckpointError(str(path), f"is truncated: {size} bytes hold no header", _AGAIN)
        if start.startswith(b"version "):
            raise _pointer(path)
        length = struct.unpack("<Q", start)[0]
        if length > LARGEST_HEADER:
            raise CheckpointError(
                str(path),
                f"header of {length} bytes, more than {LARGEST_HEADER}: no safetensors file",
                _AGAIN,
            )
        if 8 + length > size:
            raise CheckpointError(
                str(path), f"is truncated: {size} bytes, the header alone has {8 + length}", _AGAIN
            )
        content = file.read(length)
    if not content.startswith(b"{"):
        raise CheckpointError(str(path), "is not JSON where it must be (its header has no {)", _AGAIN)
    header = _parse(content, path, unlimited=False)
    entries, data_bytes = parse_header(header, path)
    if 8 + length + data_bytes != size:
        what = "is truncated" if 8 + length + data_bytes > size else "has bytes after its last tensor"
        raise CheckpointError(
            str(path), f"{what}: {size} bytes, the header promises {8 + length + data_bytes}", _AGAIN
        )
    return entries


def parse_header(header: Mapping[str, Any], path: Path) -> tuple[dict[str, TensorEntry], int]:
    """Returns a header's tensors, and how many bytes of data they take together.

    Raises:
        CheckpointError: An entry is malformed, or entries overlap or leave holes.
    """
    described = {name: value for name, value in header.items() if name != "__metadata__"}
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(str(path), "has metadata that are no texts", _AGAIN)
    if not described or len(described) > MOST_TENSORS:
        raise CheckpointError(str(path), f"holds {len(described)} tensors", f"1 to {MOST_TENSORS} are read")
    entries, places = {}, []
    for name, value in described.items():
        entries[name], place = _parse_entry(name, value, path)
        places.append(place)
    position = 0
    for start, end in sorted(places):
        if start != position:
            raise CheckpointError(
                str(path), f"tensors overlap or leave a hole at byte {min(start, position)}", _AGAIN
            )
        position = end
    return entries, position


def read_json(path: Path) -> dict[str, Any]:
    """Returns the object that a JSON file of bounded size holds.

    Raises:
        CheckpointError: The file is missing, too large, or holds something else.
    """
    if not os.path.lexists(path):
        raise CheckpointError(
            str(path.parent), f"has no {path.name}", "point at a folder saved by save_pretrained"
        )
    with open_plainly(path) as (file, size):
        if size > LARGEST_JSON:
            raise CheckpointError(str(path), f"{size} bytes of JSON", _AGAIN)
        content = file.read(LARGEST_JSON + 1)
    if content.startswith(b"version https://git-lfs"):
        raise _pointer(path)
    return _parse(content, path)


@contextmanager
def open_plainly(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Opens a checkpoint's file and gives its size; neither waits for a pipe nor follows a link outside.

    A link may lead to another place in its folder, or from a snapshot of the Hub's cache to its blobs.

    Raises:
        CheckpointError: It is missing, or no plain file of this checkpoint.
    """
    check_inside(path)
    try:
        # A pipe without a writer would have us wait for ever.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise CheckpointError(
            str(path), f"cannot be opened ({error.strerror})", "check the file and its rights"
        ) from error
    with file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise CheckpointError(str(path), "is no plain file", _AGAIN)
        yield file, found.st_size


def check_inside(path: Path) -> None:
    """Refuses a file that is a link to somewhere else: an unknown checkpoint could name any file.

    Raises:
        CheckpointError: It leads out of its folder.
    """
    if not path.is_symlink():
        return
    folder, target = path.parent.resolve(), Path(os.path.realpath(path))
    homes = [folder]
    if folder.parent.name == "snapshots":  # the Hub's cache: snapshots/REVISION/FILE -> blobs/DIGEST
        homes.append(folder.parent.parent / "blobs")
    if not any(target.is_relative_to(home) for home in homes):
        raise CheckpointError(
            str(path), f"is a link to {target}, outside its folder", "copy the file, or link the whole folder"
        )


def _pointer(path: Path) -> CheckpointError:
    return CheckpointError(
        str(path), "is a Git LFS pointer, not the file itself", "run git lfs pull in that folder"
    )


def _parse(content: bytes, path: Path, *, unlimited: bool = True) -> dict[str, Any]:
    """Returns a JSON object; `unlimited` lets it hold Infinity, as configurations of some models do."""

    def constant(name: str) -> float:
        if name == "NaN" or not unlimited:
            raise ValueError(f"{name} is no number")
        return float(name)

    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(str(path), f"is not JSON where it must be ({error})", _AGAIN) from error
    if not isinstance(value, dict):
        raise CheckpointError(str(path), f"holds a JSON {type(value).__name__}, not an object", _AGAIN)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses keys that come twice: readers differ in which one counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice[:80]!r} comes twice")
    return found


def _parse_entry(name: str, value: object, path: Path) -> tuple[TensorEntry, tuple[int, int]]:
    if not 0 < len(name) <= LONGEST_NAME or _NO_NAME.search(name):
        raise CheckpointError(
            str(path),
            f"{name[:80]!r} of {len(name)} characters is no tensor's name: 1 to {LONGEST_NAME}, no slashes",
            _AGAIN,
        )
    match value:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(start), int(end)]}:
            pass
        case _:
            raise CheckpointError(str(path), f"malformed header entry of {name!r}", _AGAIN)
    if dtype not in BITS:
        raise CheckpointError(
            str(path), f"{name!r} has the unknown type {dtype!r}", f"save it as one of {', '.join(BITS)}"
        )
    if len(shape) > MOST_DIMENSIONS or not all(_is_count(n) and n < 2**48 for n in shape):
        raise CheckpointError(str(path), f"{name!r} has the impossible shape {shape[:9]}", _AGAIN)
    if not (_is_count(start) and _is_count(end)) or end - start != math.prod(shape) * BITS[dtype] // 8:
        raise CheckpointError(
            str(path), f"{name!r} of shape {shape} and type {dtype} has {end - start} bytes", _AGAIN
        )
    return TensorEntry(tuple(shape), dtype, path, end - start), (start, end)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _read_shards(folder: Path, weight_map: Mapping[str, str]) -> dict[str, TensorEntry]:
    tables: dict[str, dict[str, TensorEntry]] = {}
    for shard in sorted(set(weight_map.values())):
        if not os.path.lexists(folder / shard):
            raise CheckpointError(str(folder), f"shard {shard} is missing, {INDEX_FILE} names it", _AGAIN)
        tables[shard] = read_header(folder / shard)
    for tensor, shard in weight_map.items():
        if tensor not in tables[shard]:
            raise CheckpointError(
                str(folder / shard), f"holds no tensor {tensor!r}, {INDEX_FILE} says it does", _AGAIN
            )
    for shard, table in tables.items():
        for tensor in table:
            if weight_map.get(tensor) != shard:
                raise CheckpointError(
                    str(folder / shard), f"holds {tensor!r}, which {INDEX_FILE} does not say", _AGAIN
                )
    return {tensor: tables[shard][tensor] for tensor, shard in weight_map.items()}


def _no_safetensors(folder: Path) -> CheckpointError:
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLED)
    if pickled:
        return CheckpointError(
            str(folder),
            f"has its weights in {pickled[0]}, a pickle, which can run code when it is read",
            "convert it where you trust it: AutoModelForCausalLM.from_pretrained(folder)"
            ".save_pretrained(new_folder) writes safetensors",
        )
    return CheckpointError(
        str(folder), "has no safetensors weights", "point at a folder saved by save_pretrained"
    )
