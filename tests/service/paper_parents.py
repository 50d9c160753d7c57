"""Parents that exist on paper: configuration and tensor table of a checkpoint, without torch."""

from __future__ import annotations

import json
import struct
from pathlib import Path

LAYERS = 2
HIDDEN = 4
VOCABULARY = 8

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": LAYERS,
    "hidden_size": HIDDEN,
    "vocab_size": VOCABULARY,
    "tie_word_embeddings": False,
}


def write_paper_parent(folder: Path, *, layers: int = LAYERS) -> Path:
    """Writes a checkpoint of zeros that can be inspected like any other."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | {"num_hidden_layers": layers}))
    shapes = {"model.embed_tokens.weight": [VOCABULARY, HIDDEN], "lm_head.weight": [VOCABULARY, HIDDEN]}
    for layer in range(layers):
        shapes[f"model.layers.{layer}.self_attn.q_proj.weight"] = [HIDDEN, HIDDEN]
        shapes[f"model.layers.{layer}.mlp.up_proj.weight"] = [HIDDEN, HIDDEN]
    header: dict[str, object] = {}
    position = 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * shape[1]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [position, position + size]}
        position += size
    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text + bytes(position)
    (folder / "model.safetensors").write_bytes(content)
    return folder
