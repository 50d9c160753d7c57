"""What the cluster searches: tiny models with random weights, and questions about which word comes next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

WORDS = ("<pad>", "<s>", "</s>", "<unk>", *(f"w{i}" for i in range(28)))
ITEMS = 64  # per split
CANDIDATES = 36


def make_problem(folder: Path) -> dict[str, Any]:
    """Writes two models, their base and a task into a folder; returns the experiment's spec."""
    for seed, name in enumerate(("base", "left", "right")):
        _write_model(folder / name, seed)
    _write_task(folder / "tasks")
    return {
        "name": "cluster",
        "base": str(folder / "base"),
        "parents": [str(folder / "left"), str(folder / "right")],
        "tasks_path": str(folder / "tasks"),
        "objectives": [{"task": "next_word"}],
        "space": {"kind": "parameter", "method": "task_arithmetic", "layer_groups": 2},
        "optimizer": {"algorithm": "cma_es", "population": 6},
        "budget": {"candidates": CANDIDATES},
        "baselines": {"standard_recipes": False},
        "examination": {"finalists": 2},
        "batch_size": 8,
        "seed": 7,
    }


def _write_model(folder: Path, seed: int) -> None:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"  # noqa: S106
    ).save_pretrained(folder)  # fmt: skip


def _write_task(folder: Path) -> None:
    folder.mkdir(parents=True)
    files = {}
    for offset, split in enumerate(("search", "selection", "test")):
        rows = [
            {"q": f"w{(i * 3 + offset) % 28} w{(i * 5 + offset) % 28}", "a": (i + offset) % 4}
            for i in range(ITEMS)
        ]
        path = folder / f"{split}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        files[split] = str(path)
    task = {
        "task": "next_word",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files},
        "test_split": "search",
        "output_type": "multiple_choice",
        "doc_to_text": "{{q}}",
        "doc_to_target": "{{a}}",
        "doc_to_choice": ["w1", "w2", "w3", "w4"],
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
    }
    (folder / "next_word.yaml").write_text(yaml.safe_dump(task, sort_keys=False))
