"""Checkpoints of a few hundred numbers, that tests can bend into any shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from search_spaces import Parent
from workers.checkpoints.inspection import inspect_checkpoint
from workers.checkpoints.layout import Layout

WIDTH, VOCABULARY = 4, 10


def small_tensors(seed: int, *, layers: int = 3, width: int = WIDTH, head: bool = True) -> dict[str, Tensor]:
    """Returns the tensors of a Llama-like model, normally distributed."""
    draw = torch.Generator().manual_seed(seed)
    shapes = {"model.embed_tokens.weight": (VOCABULARY, width), "model.norm.weight": (width,)}
    if head:
        shapes["lm_head.weight"] = (VOCABULARY, width)
    for i in range(layers):
        shapes[f"model.layers.{i}.self_attn.q_proj.weight"] = (width, width)
        shapes[f"model.layers.{i}.mlp.up_proj.weight"] = (2 * width, width)
    return {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}


class SmallParents:
    """Writes small checkpoints into a folder and reads them back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tensors: dict[tuple[Parent, str], Tensor] = {}
        self.base, self.left, self.right, self.third = (
            self.save(name, small_tensors(seed))
            for seed, name in enumerate(("base", "left", "right", "third"))
        )

    def save(self, name: str, tensors: dict[str, Tensor], **config: Any) -> Parent:
        """Writes a checkpoint; keyword arguments go into its config.json."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        layers = len({n.split(".")[2] for n in tensors if n.startswith("model.layers.")})
        content = {
            "architectures": ["LlamaForCausalLM"],
            "num_hidden_layers": layers,
            "num_attention_heads": 2,
            "vocab_size": VOCABULARY,
            "tie_word_embeddings": False,
        } | config
        (folder / "config.json").write_text(json.dumps(content))
        save_file(tensors, folder / "model.safetensors")
        parent = Parent(model=str(folder))
        self.tensors |= {(parent, key): tensor for key, tensor in tensors.items()}
        return parent

    def layouts(self, *parents: Parent) -> dict[Parent, Layout]:
        return {parent: inspect_checkpoint(parent) for parent in parents}

    def read(self, parent: Parent, name: str) -> Tensor:
        return self.tensors[parent, name]
