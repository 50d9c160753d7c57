"""Checkpoints with a mistake each: by its number in the list of bad inputs, group C.

Each function breaks the checkpoint in a folder; none writes a large file.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
NORM = "model.norm.weight"
Header = dict[str, Any]
Breakage = Callable[[Path], None]


def raw(content: bytes, *, size: int | None = None) -> Breakage:
    """Returns what replaces the weights by these bytes, followed by nothing up to a size."""

    def breaking(folder: Path) -> None:
        path = folder / WEIGHTS
        path.write_bytes(content)
        if size is not None:
            os.truncate(path, size)

    return breaking


def length_of(header: int, content: bytes = b"", *, size: int | None = None) -> Breakage:
    """Returns what writes a header's length and then these bytes."""
    return raw(struct.pack("<Q", header) + content, size=size)


def header_text(text: bytes) -> Breakage:
    """Returns what writes a header of any bytes, without tensors."""
    return raw(struct.pack("<Q", len(text)) + text)


def header(change: Callable[[Header], object]) -> Breakage:
    """Returns what changes the header and leaves the tensors."""

    def breaking(folder: Path) -> None:
        path = folder / WEIGHTS
        content = path.read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        found = json.loads(content[8 : 8 + length])
        change(found)
        text = json.dumps(found).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    return breaking


def entry(**changes: object) -> Breakage:
    """Returns what changes the header's entry of one tensor."""
    return header(lambda found: found[NORM].update(changes))


def renamed(name: str) -> Breakage:
    """Returns what gives one tensor another name."""
    return header(lambda found: found.update({name: found.pop(NORM)}))


def twice(folder: Path) -> None:
    """Writes one key of the header twice."""
    path = folder / WEIGHTS
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    text = content[8 : 8 + length].decode().rstrip()
    found = json.loads(text)
    text = text[:-1] + f', "{NORM}": {json.dumps(found[NORM])}}}'
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + content[8 + length :])


def cut(folder: Path) -> None:
    """Cuts the last bytes off."""
    path = folder / WEIGHTS
    os.truncate(path, path.stat().st_size - 10)


def polyglot(folder: Path) -> None:
    """Appends a zip file."""
    with zipfile.ZipFile(folder / WEIGHTS, "a") as archive:
        archive.writestr("payload", "x")


def numbers(value: float) -> Breakage:
    """Returns what sets one number of a tensor."""

    def breaking(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        weights[NORM][3] = value
        save_file(weights, folder / WEIGHTS)

    return breaking


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Breakage:
    """Returns what changes the tensors."""

    def breaking(folder: Path) -> None:
        found = load_file(folder / WEIGHTS)
        change(found)
        save_file({name: tensor.contiguous() for name, tensor in found.items()}, folder / WEIGHTS)

    return breaking


def only(name: str, content: bytes | None = None) -> Breakage:
    """Returns what leaves the weights, or other content, under another name alone."""

    def breaking(folder: Path) -> None:
        (folder / WEIGHTS).rename(folder / name)
        if content is not None:
            (folder / name).write_bytes(content)

    return breaking


def bomb() -> bytes:
    """Returns a zip file such as torch writes, which unpacks to far more than it holds."""
    path = Path(os.devnull).parent / "shm"
    target = (path if path.is_dir() else Path.cwd()) / f"bomb-{os.getpid()}.zip"
    try:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", b"\x00" * 2**20)
        return target.read_bytes()
    finally:
        target.unlink(missing_ok=True)


class Canary:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.system, ("touch evomerge-canary",)


def pickled() -> bytes:
    """Returns a pickle that runs code."""
    return pickle.dumps(Canary()) + b"\x00" * 64


def index(change: Callable[[Header], object]) -> Breakage:
    """Returns what turns the checkpoint into an index and a shard, and changes the index."""

    def breaking(folder: Path) -> None:
        path = folder / "part.safetensors"
        (folder / WEIGHTS).rename(path)
        content: Header = {"weight_map": dict.fromkeys(load_file(path), path.name)}
        change(content)
        (folder / INDEX).write_text(json.dumps(content))

    return breaking


def placed(shard: str) -> Breakage:
    """Returns what says that a tensor lies in another file."""
    return index(lambda content: content["weight_map"].update({NORM: shard}))


def in_two_shards(folder: Path) -> None:
    """Writes one tensor into two shards."""
    index(lambda content: content["weight_map"].update({NORM: "other.safetensors"}))(folder)
    save_file({NORM: torch.ones(16)}, folder / "other.safetensors")


def cases_collide(folder: Path) -> None:
    """Names shards that are one file where upper and lower case are one."""
    placed("PART.safetensors")(folder)
    save_file({NORM: torch.ones(16)}, folder / "PART.safetensors")


def config(**changes: object) -> Breakage:
    """Returns what changes config.json."""

    def breaking(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return breaking


def text_file(name: str, text: str) -> Breakage:
    """Returns what writes a file."""

    def breaking(folder: Path) -> None:
        (folder / name).write_text(text)

    return breaking


def large(name: str, size: int) -> Breakage:
    """Returns what makes a file of nothing, which takes no room."""

    def breaking(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.truncate(size)

    return breaking


def fifo(folder: Path) -> None:
    """Puts a pipe without a writer where the weights are."""
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)


def link(target: str) -> Breakage:
    """Returns what puts a link where the weights are."""

    def breaking(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        (folder / WEIGHTS).symlink_to(target)

    return breaking


def folder_of_that_name(folder: Path) -> None:
    """Puts a folder where the weights are."""
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
PROJECTION = "model.layers.0.mlp.up_proj.weight"

BROKEN: Mapping[str, tuple[Breakage, str]] = {
    "C1 zero length": (raw(b""), "is truncated: 0 bytes"),
    "C2 seven bytes": (raw(b"\x00" * 7), "is truncated: 7 bytes"),
    "C3 header of length 0": (length_of(0), "is not JSON"),
    "C4 length 2^63": (length_of(2**63, b"{}"), f"header of {2**63} bytes"),
    "C5 length 101 MB": (length_of(101 * 2**20, b"{}"), "more than 16777216"),
    "C6 99 MB of spaces": (length_of(99 * 2**20, b"{", size=99 * 2**20 + 8), "more than 16777216"),
    "C6 15 MB of spaces": (header_text(b"{" + b" " * (15 * 2**20)), "is not JSON"),
    "C7 not JSON": (header_text(b"{not it}"), "is not JSON"),
    "C8 bad UTF-8": (header_text(b'{"\xff\xfe": 1}'), "is not JSON"),
    "C9 no brace": (header_text(b" []"), "its header has no {"),
    "C10 a key twice": (twice, "comes twice"),
    "C11 truncated": (cut, "is truncated"),
    "C12 polyglot": (polyglot, "after its last tensor"),
    "C13 hole": (header(lambda found: found.pop("lm_head.weight")), "overlap or leave a hole"),
    "C14 overlap": (entry(data_offsets=[0, 64]), "overlap or leave a hole"),
    "C15 end before begin": (entry(data_offsets=[128, 64]), "has -64 bytes"),
    "C16 size and shape": (entry(shape=[17]), "'model.norm.weight' of shape [17]"),
    "C17 product overflow": (entry(shape=[2**40, 2**40]), "of shape"),
    "C17 number overflow": (entry(shape=[2**70]), "impossible shape"),
    "C18 negative": (entry(shape=[-16]), "impossible shape"),
    "C18 no number": (entry(shape=["16"]), "impossible shape"),
    "C18 true": (entry(shape=[True]), "impossible shape"),
    "C19 unknown type": (entry(dtype="F4"), "unknown type 'F4'"),
    "C20 dimensions": (entry(shape=[1] * 100_000), "impossible shape"),
    "C21 a path as a name": (renamed("../../x"), "no tensor's name"),
    "C22 NUL in a name": (renamed("model.\x00norm"), "no tensor's name"),
    "C22 long name": (renamed("n" * 513), "of 513 characters"),
    "C23 no tensors": (header_text(b"{}"), "holds 0 tensors"),
    "C24 metadata": (header(lambda found: found.update(__metadata__={"a": 1})), "metadata that are no texts"),
    "C25 large metadata": (length_of(50 * 2**20, b'{"__metadata__"', size=50 * 2**20 + 8), "more than"),
    "C26 NaN": (numbers(float("nan")), NORM),
    "C27 infinity": (numbers(float("-inf")), NORM),
    "C28 pickle renamed": (raw(pickled()), "model.safetensors"),
    "C29 renamed to bin": (only("pytorch_model.bin"), "a pickle"),
    "C30 zip bomb": (only("weights.pt", bomb()), "a pickle"),
    "C31 GGUF": (only("model.gguf", b"GGUF" + b"\x00" * 64), "has no safetensors weights"),
    "C32 eight-bit floats": (weights(lambda w: w.update({NORM: w[NORM].to(torch.float8_e4m3fn)})), "F8_E4M3"),
    "C32 whole numbers": (weights(lambda w: w.update({NORM: w[NORM].to(torch.int8)})), "I8"),
    "C33 big-endian": (raw(struct.pack(">Q", 2) + b"{}"), "more than 16777216"),
    "C34 no weight_map": (index(lambda content: content.clear()), "no usable weight_map"),
    "C34 weight_map is a list": (
        index(lambda content: content.update(weight_map=[1])),
        "no usable weight_map",
    ),
    "C35 dots": (placed("../part.safetensors"), "no plain file name"),
    "C35 absolute": (placed("/etc/x.safetensors"), "no plain file name"),
    "C35 address": (placed("https://a.test/x.safetensors"), "no plain file name"),
    "C36 absent shard": (placed("other.safetensors"), "other.safetensors is missing"),
    "C36 absent tensor": (
        index(lambda content: content["weight_map"].update({"model.norm.bias": "part.safetensors"})),
        "no tensor 'model.norm.bias'",
    ),
    "C37 two shards": (in_two_shards, "which model.safetensors.index.json does not say"),
    "C38 extra tensor": (weights(lambda w: w.update({"model.extra": torch.ones(2)})), "'model.extra'"),
    "C39 missing tensor": (weights(lambda w: w.pop(NORM)), NORM),
    "C40 transposed": (weights(lambda w: w.update({PROJECTION: w[PROJECTION].T})), PROJECTION),
    "C42 config of 100 MB": (large("config.json", 100 * 2**20), "bytes of JSON"),
    "C42 deep config": (text_file("config.json", '{"a":' * 100_000), "is not JSON"),
    "C42 code of its own": (config(auto_map={"AutoModelForCausalLM": "x.Y"}), "auto_map"),
    "C42 unknown architecture": (config(architectures=["NobodyForCausalLM"]), "is a NobodyForCausalLM"),
    "C43 layers": (config(num_hidden_layers=10**9), "num_hidden_layers is 1000000000"),
    "C43 layers as text": (config(num_hidden_layers="2"), "num_hidden_layers is '2'"),
    "C43 vocabulary": (config(vocab_size=2**31), "2147483648"),
    "C43 no head": (config(head_dim=0), "head_dim is 0"),
    "C43 other heads": (config(num_attention_heads=8), "num_attention_heads is 8"),
    "C43 missing rows": (config(vocab_size=40), "the embeddings have 32 rows"),
    "C44 NaN": (text_file("config.json", '{"rope_scaling": {"factor": NaN}}'), "is not JSON"),
    "C45 tokenizer of 500 MB": (large("tokenizer.json", 500 * 2**20), "tokenizer.json"),
    "C48 a terabyte of nothing": (length_of(2, b"{}", size=2**40), "holds 0 tensors"),
    "C49 pipe": (fifo, "is no plain file"),
    "C49 device": (link("/dev/zero"), "outside its folder"),
    "C49 folder": (folder_of_that_name, "model.safetensors"),
    "C50 link": (link("/etc/passwd"), "outside its folder"),
    "C51 upper and lower case": (cases_collide, "upper and lower case"),
    "C53 Git LFS": (raw(POINTER), "Git LFS pointer"),
}
