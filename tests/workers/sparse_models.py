"""Checkpoints of zeros in sparse files: as large as one likes, and taking no room on the disk."""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": 1,
    "tie_word_embeddings": True,
}


def write_zeros(folder: Path, *, tokens: int, hidden: int) -> Path:
    """Writes a one-layer Llama in bfloat16 whose embeddings are nearly all of it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | {"vocab_size": tokens, "hidden_size": hidden}))
    shapes = {
        "model.embed_tokens.weight": [tokens, hidden],
        "model.layers.0.self_attn.q_proj.weight": [hidden, hidden],
        "model.norm.weight": [hidden],
    }
    header, position = {}, 0
    for name, shape in shapes.items():
        end = position + 2 * prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [position, end]}
        position = end
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + position)
    return folder
