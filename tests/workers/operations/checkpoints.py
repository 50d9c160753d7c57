"""Tiny models of many architectures for operations on checkpoints, and what they compute."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Olmo2Config,
    OPTConfig,
    Phi3Config,
    PretrainedConfig,
    Qwen2Config,
    Qwen2MoeConfig,
    Qwen3Config,
    Qwen3MoeConfig,
)

from search_spaces import Parent
from tests.tiny_models import WORDS, save_perturbed
from workers.checkpoints.layout import Layout
from workers.operations.blocks import Block, BlockMatching, relocations
from workers.operations.rewriting import open_parent
from workers.operations.transformer_groups import transformer_blocks

torch.set_num_threads(1)

_IDS: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_COMMON: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    **_IDS,
}
_EXPERTS: dict[str, Any] = {"num_experts": 4, "moe_intermediate_size": 12, "num_experts_per_tok": 2}
_OLD: dict[str, Any] = {"vocab_size": len(WORDS), "hidden_size": 16, "num_attention_heads": 4, **_IDS}
ARCHITECTURES: dict[str, PretrainedConfig] = {
    "llama": LlamaConfig(**_COMMON),
    "mistral": MistralConfig(**_COMMON),
    "qwen2": Qwen2Config(**_COMMON),
    "qwen3": Qwen3Config(**_COMMON, head_dim=4),
    "gemma": GemmaConfig(**_COMMON, head_dim=4),
    "gemma2": Gemma2Config(**_COMMON, head_dim=4),
    "phi3": Phi3Config(**_COMMON),
    "olmo2": Olmo2Config(**_COMMON),
    "gpt2": GPT2Config(vocab_size=len(WORDS), n_embd=16, n_layer=2, n_head=4, n_positions=64, **_IDS),
    "gpt_neox": GPTNeoXConfig(**_OLD, num_hidden_layers=2, intermediate_size=24),
    "opt": OPTConfig(**_OLD, num_hidden_layers=2, ffn_dim=24, word_embed_proj_dim=16),
    "bloom": BloomConfig(vocab_size=len(WORDS), hidden_size=16, n_layer=2, n_head=4, **_IDS),
    "mixtral": MixtralConfig(**_COMMON, num_local_experts=4),
    "qwen2_moe": Qwen2MoeConfig(**_COMMON, **_EXPERTS, shared_expert_intermediate_size=20),
    # head_dim is read, though not declared.
    "qwen3_moe": Qwen3MoeConfig(**_COMMON, **_EXPERTS, head_dim=4),  # type: ignore[call-arg]
}


def save_model(
    folder: Path, seed: int, *, architecture: str = "llama", dtype: torch.dtype = torch.float32
) -> Path:
    """Writes a two-layer model whose every parameter is random, biases and norms included."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(ARCHITECTURES[architecture]).to(dtype)
    return save_perturbed(model, folder)


def parent(folder: Path) -> Parent:
    return Parent(model=str(folder))


def layout(folder: Path) -> Layout:
    return open_parent(parent(folder))


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def logits(folder: Path) -> Tensor:
    """What a model says to two short texts."""
    with torch.no_grad():
        found: Tensor = AutoModelForCausalLM.from_pretrained(folder)(torch.arange(3, 23).view(2, 10)).logits
    return found


def save_shuffled(source: Path, folder: Path, seed: int) -> set[str]:
    """Writes a model with all its units in random order; returns the names of the tensors that changed."""
    before = weights(source)
    after = dict(before)
    rng = np.random.default_rng(seed)
    for block in transformer_blocks(layout(source)):
        for name, relocation in relocations(block, _random_matching(block, rng)).items():
            after[name] = relocation.apply(before.__getitem__).contiguous()
    shutil.copytree(source, folder)
    save_file(after, folder / "model.safetensors", {"format": "pt"})
    return {name for name in before if not torch.equal(before[name], after[name])}


def _random_matching(block: Block, rng: np.random.Generator) -> BlockMatching:
    sizes = {
        name: block.facets[int(axes[0][0])].positions.shape[1 + axes[0][1]] for name, axes in block.groups
    }
    inner = tuple(
        {name: torch.from_numpy(rng.permutation(size)) for name, size in sizes.items()}
        for _ in range(block.units)
    )
    return BlockMatching(torch.from_numpy(rng.permutation(block.units)), inner, 0.0, 0.0)
