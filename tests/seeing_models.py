"""Small real models that also see: a language model of `tiny_models`, a vision tower, random weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    CLIPImageProcessorPil,
    Gemma3Config,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
)

from tests.tiny_models import ARCHITECTURES, WORDS, tiny_tokenizer

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


def seeing_tokenizer() -> PreTrainedTokenizerFast:
    """Returns the tokenizer of `tiny_models` with a token for images, and a chat template that has places."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.chat_template = (
        "{% for message in messages %}<s> {% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }}{% endif %}{% endfor %} "
        "{% endfor %}{% if add_generation_prompt %}w9 {% endif %}"
    )
    return tokenizer


def save_looking_model(folder: Path, seed: int) -> Path:
    """Writes a small LLaVA with its processor, which can be asked about images of 8 x 8 points."""
    torch.manual_seed(seed)
    text = _text("llama") | {"vocab_size": len(WORDS) + 1, "max_position_embeddings": 128}
    vision = _SEEING | {"patch_size": 4, "model_type": "clip_vision_model", "projection_dim": 8}
    config = LlavaConfig(
        text_config=text, vision_config=vision, image_token_index=len(WORDS), image_seq_length=4
    )
    model: Any = LlavaForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})
    LlavaProcessor(
        image_processor=images,
        tokenizer=seeing_tokenizer(),
        patch_size=4,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=seeing_tokenizer().chat_template,
    ).save_pretrained(folder)
    return folder


def save_pictures(folder: Path, count: int) -> list[str]:
    """Writes small pictures, each of its own colours; returns their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number}.png" for number in range(count)]
    for number, name in enumerate(names):
        points = np.random.default_rng(number).integers(0, 256, (8 + number % 3, 8, 3), dtype=np.uint8)
        Image.fromarray(points).save(folder / name)
    return names
