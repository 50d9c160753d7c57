"""Checkpoints of zeros in sparse files: as large as one likes, and taking no room on the disk."""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path

_WIDTH = 8
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": _WIDTH,
    "tie_word_embeddings": True,
}


def write_zeros(folder: Path, *, tokens: int, hidden: int) -> Path:
    """Writes a one-layer Llama in bfloat16 whose embeddings are nearly all of it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | {"vocab_size": tokens, "hidden_size": hidden}))
    shapes = {
        "model.embed_tokens.weight": [tokens, hidden],
        **{f"model.layers.0.self_attn.{name}_proj.weight": [hidden, hidden] for name in "qkvo"},
        **{f"model.layers.0.mlp.{name}_proj.weight": [_WIDTH, hidden] for name in ("gate", "up")},
        "model.layers.0.mlp.down_proj.weight": [hidden, _WIDTH],
        "model.layers.0.input_layernorm.weight": [hidden],
        "model.layers.0.post_attention_layernorm.weight": [hidden],
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
