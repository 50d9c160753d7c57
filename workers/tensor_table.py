"""Reads which tensors a checkpoint's safetensors files hold, without reading any of them.

A file begins with eight bytes, the length of a JSON header; the header gives every tensor's type,
shape and place; the tensors follow, back to back, to the end of the file.  Everything here is
checked against hard limits, because checkpoints come from strangers.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workers.errors import CheckpointError
from workers.layout import TensorEntry

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
LARGEST_HEADER = 16 * 2**20
LARGEST_JSON = 64 * 2**20
MOST_TENSORS = 200_000
MOST_DIMENSIONS = 8

BITS: Mapping[str, int] = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8,
}  # fmt: skip
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_SHARD_NAME = re.compile(r"[\w.-]+\.safetensors")
_AGAIN = "download or save the checkpoint again"


def read_tensor_table(folder: Path) -> dict[str, TensorEntry]:
    """Returns every tensor of the checkpoint in a folder, by name.

    Raises:
        CheckpointError: There are no safetensors, or they are broken.
    """
    index = folder / INDEX_FILE
    if index.is_file():
        return _read_shards(folder, read_index(index))
    single = folder / SINGLE_FILE
    if single.is_file():
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
    return weight_map


def read_header(path: Path) -> dict[str, TensorEntry]:
    """Returns the tensors of one safetensors file.

    Raises:
        CheckpointError: The file is cut short, or its header is malformed.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise CheckpointError(str(path), f"is truncated: {size} bytes hold no header", _AGAIN)
        length = struct.unpack("<Q", start)[0]
        if start.startswith(b"version "):
            raise CheckpointError(
                str(path), "is a Git LFS pointer, not the weights", "run git lfs pull in that folder"
            )
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
        header = _parse(file.read(length), path)
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
    if not path.is_file():
        raise CheckpointError(
            str(path.parent), f"has no {path.name}", "point at a folder saved by save_pretrained"
        )
    if path.stat().st_size > LARGEST_JSON:
        raise CheckpointError(str(path), f"{path.stat().st_size} bytes of JSON", _AGAIN)
    return _parse(path.read_bytes(), path)


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(str(path), f"is not JSON where it must be ({error})", _AGAIN) from error
    if not isinstance(value, dict):
        raise CheckpointError(str(path), f"holds a JSON {type(value).__name__}, not an object", _AGAIN)
    return value


def _parse_entry(name: str, value: object, path: Path) -> tuple[TensorEntry, tuple[int, int]]:
    match value:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(start), int(end)]}:
            pass
        case _:
            raise CheckpointError(str(path), f"malformed header entry of {name!r}", _AGAIN)
    if dtype not in BITS:
        raise CheckpointError(
            str(path), f"{name!r} has the unknown type {dtype!r}", f"save it as one of {', '.join(BITS)}"
        )
    if len(shape) > MOST_DIMENSIONS or not all(isinstance(n, int) and 0 <= n < 2**48 for n in shape):
        raise CheckpointError(str(path), f"{name!r} has the impossible shape {shape[:9]}", _AGAIN)
    if not 0 <= start <= end or end - start != math.prod(shape) * BITS[dtype] // 8:
        raise CheckpointError(
            str(path), f"{name!r} of shape {shape} and type {dtype} has {end - start} bytes", _AGAIN
        )
    return TensorEntry(tuple(shape), dtype, path, end - start), (start, end)


def _read_shards(folder: Path, weight_map: Mapping[str, str]) -> dict[str, TensorEntry]:
    tables: dict[str, dict[str, TensorEntry]] = {}
    for shard in sorted(set(weight_map.values())):
        if not (folder / shard).is_file():
            raise CheckpointError(str(folder), f"shard {shard} is missing, {INDEX_FILE} names it", _AGAIN)
        tables[shard] = read_header(folder / shard)
    for tensor, shard in weight_map.items():
        if tensor not in tables[shard]:
            raise CheckpointError(
                str(folder / shard), f"holds no tensor {tensor!r}, {INDEX_FILE} says it does", _AGAIN
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
