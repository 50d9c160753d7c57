"""Small real models, built on the spot: two layers, random weights, a word-level tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Olmo2Config,
    Phi3Config,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2MoeConfig,
    Qwen3Config,
    Qwen3MoeConfig,
)

WORDS = ("<pad>", "<s>", "</s>", "<unk>", *(f"w{i}" for i in range(28)))
_COMMON: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ARCHITECTURES: dict[str, PretrainedConfig] = {
    "llama": LlamaConfig(**_COMMON),
    "mistral": MistralConfig(**_COMMON),
    "qwen2": Qwen2Config(**_COMMON),
    "qwen3": Qwen3Config(**_COMMON, head_dim=4),
    "gemma": GemmaConfig(**_COMMON, head_dim=4),
    "gemma2": Gemma2Config(**_COMMON, head_dim=4, sliding_window=8),
    "gemma3": Gemma3TextConfig(**_COMMON, head_dim=4, sliding_window=8),
    "phi3": Phi3Config(**_COMMON),
    "olmo2": Olmo2Config(**_COMMON),
    "gpt_neox": GPTNeoXConfig(**_COMMON),
    "mixtral": MixtralConfig(**_COMMON, num_local_experts=4, num_experts_per_tok=2),
    "qwen2_moe": Qwen2MoeConfig(
        **_COMMON,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=8,
        shared_expert_intermediate_size=8,
    ),
    # head_dim is read, though not declared.
    "qwen3_moe": Qwen3MoeConfig(  # type: ignore[call-arg]
        **_COMMON, head_dim=4, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=8
    ),
    "gpt2": GPT2Config(
        vocab_size=len(WORDS), n_embd=16, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2
    ),
}


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Returns a tokenizer whose tokens are whole words."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def save_tiny_model(
    folder: Path,
    seed: int,
    *,
    architecture: str = "llama",
    dtype: torch.dtype = torch.float32,
    spread: float = 1.0,
) -> Path:
    """Writes a two-layer model of this architecture, with weights drawn from the seed."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(ARCHITECTURES[architecture]).to(dtype)
    return save_perturbed(model, folder, 0.05 * spread)


def save_perturbed(model: Any, folder: Path, spread: float = 0.1) -> Path:
    """Adds normal noise to every parameter, and writes the model with the tiny tokenizer."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * spread)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def write_word_task(folder: Path, name: str = "words", *, items: int = 12, metric: str = "acc") -> Path:
    """Writes an lm-eval task with search, selection and test splits: which word comes next."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for offset, split in enumerate(("search", "selection", "test")):
        path = folder / f"{name}_{split}.jsonl"
        rows = [
            {"q": f"w{(i * 3 + offset) % 28} w{(i * 5 + offset) % 28}", "a": (i + offset) % 4}
            for i in range(items)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        files[split] = str(path)
    lines = [
        f"task: {name}",
        "dataset_path: json",
        "dataset_kwargs:",
        "  data_files:",
        *(f"    {split}: {path}" for split, path in files.items()),
        "test_split: search",
        "output_type: multiple_choice",
        'doc_to_text: "{{q}}"',
        'doc_to_target: "{{a}}"',
        'doc_to_choice: ["w1", "w2", "w3", "w4"]',
        "metric_list:",
        f"  - metric: {metric}",
        "    aggregation: mean",
        "    higher_is_better: true",
        "metadata:",
        "  version: 1.0",
    ]
    (folder / f"{name}.yaml").write_text("\n".join(lines) + "\n")
    return folder
