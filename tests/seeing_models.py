"""Small real models that also see: a language model of `tiny_models`, a vision tower, random weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, Gemma3Config, LlavaConfig, Qwen2VLConfig

from tests.tiny_models import ARCHITECTURES, tiny_tokenizer

_SEEING = {
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 2,  # as deep as the language model
    "num_attention_heads": 2,
    "image_size": 8,
}


def _text(architecture: str) -> dict[str, object]:
    content: dict[str, object] = ARCHITECTURES[architecture].to_dict()
    return content


# The text model of the same kind -> the configuration of the one that sees.
KINDS: Mapping[str, Callable[[int], object]] = {
    "gemma3": lambda patch: Gemma3Config(
        text_config=_text("gemma3"),
        vision_config=_SEEING | {"patch_size": patch},
        mm_tokens_per_image=4,
        boi_token_index=4,
        eoi_token_index=5,
        image_token_index=6,
    ),
    "llama": lambda patch: LlavaConfig(
        text_config=_text("llama"),
        vision_config=_SEEING | {"patch_size": patch, "model_type": "clip_vision_model", "projection_dim": 8},
        image_token_index=6,
    ),
    "qwen2": lambda patch: Qwen2VLConfig(
        text_config=_text("qwen2")
        | {"rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 0]}, "model_type": "qwen2_vl_text"},
        vision_config={
            "depth": 2,
            "embed_dim": 8,
            "hidden_size": 16,
            "num_heads": 2,
            "mlp_ratio": 1,
            "patch_size": patch,
        },
    ),
}
SEEING_KINDS = (*sorted(KINDS), "qwen2 flat")


def _flatten(folder: Path) -> None:
    """Writes the configuration as many models were published: the language model's entries at the top."""
    path = folder / "config.json"
    content = json.loads(path.read_text())
    text = content.pop("text_config")
    del text["model_type"]
    path.write_text(json.dumps({**text, **content}))


def save_seeing(folder: Path, seed: int, kind: str, *, patch: int = 4) -> Path:
    """Writes a small model that also sees."""
    torch.manual_seed(seed)
    model: Any = AutoModelForImageTextToText
    model.from_config(KINDS[kind.split()[0]](patch)).save_pretrained(folder)
    if kind.endswith(" flat"):
        _flatten(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
