"""Checkpoints that exist on paper only: a true config and header over one number.  No torch."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any
from zlib import crc32

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4,
    "num_hidden_layers": 2,
    "vocab_size": 8,
    "tie_word_embeddings": True,
}


def write_checkpoint(
    folder: Path,
    *,
    config: Mapping[str, Any] | None = None,
    tokens: int = 8,
    hidden: int = 4,
    layers: int = 2,
) -> Path:
    """Writes a Llama in miniature; every parameter makes it another shape."""
    folder.mkdir(parents=True)
    shape = {"hidden_size": hidden, "num_hidden_layers": layers, "vocab_size": tokens}
    (folder / "config.json").write_text(json.dumps(CONFIG | shape | dict(config or {})))
    vocabulary = {f"w{i}": i for i in range(tokens)}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}, "added_tokens": []}))
    shapes: dict[str, list[int]] = {
        "model.embed_tokens.weight": [tokens, hidden],
        "model.norm.weight": [hidden],
    }
    for layer in range(layers):
        shapes[f"model.layers.{layer}.self_attn.q_proj.weight"] = [hidden, hidden]
        shapes[f"model.layers.{layer}.mlp.up_proj.weight"] = [hidden, hidden]
    write_safetensors(folder / "model.safetensors", shapes)
    return folder


def write_safetensors(path: Path, shapes: Mapping[str, list[int]]) -> None:
    """Writes a safetensors file in which all numbers are one near 1 that its folder's name gives."""
    header: dict[str, Any] = {}
    position = 0
    for name, shape in shapes.items():
        end = position + 4 * prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [position, end]}
        position = end
    text = json.dumps(header).encode()
    number = struct.pack("<f", 1 + crc32(path.parent.name.encode()) % 1000 / 10_000)
    path.write_bytes(struct.pack("<Q", len(text)) + text + number * (position // 4))
