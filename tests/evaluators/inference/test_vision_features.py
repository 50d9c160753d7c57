"""Features seen once, per family of models: the same logits and texts as with pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForImageTextToText,
    Gemma3Config,
    Gemma3TextConfig,
    Idefics3Config,
    InternVLConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaNextConfig,
    Qwen2_5_VLConfig,
    Qwen2Config,
    Qwen2VLConfig,
    Qwen3VLConfig,
)

from evaluators.inference.images.image_generation import padded
from evaluators.inference.images.seen_prompts import SeenPrompt
from evaluators.inference.images.vision_features import VisionFeatures, takes_features

IMAGE = 60
TEXT: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EYES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
CLIP = EYES | {"model_type": "clip_vision_model", "projection_dim": 16}
QWEN: dict[str, Any] = {
    "depth": 2,
    "num_heads": 2,
    "patch_size": 8,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
Prompts = list[SeenPrompt]


def prompts(places: int, pixels: Callable[[], dict[str, Tensor]], marks: str | None = None) -> Prompts:
    """Returns two prompts of different lengths, each with an image."""
    found = []
    for number in (1, 3):
        tokens = (*(5,) * number, *(IMAGE,) * places, 7, 8)
        of_image = {marks: tuple(int(token == IMAGE) for token in tokens)} if marks else {}
        found.append(SeenPrompt(tokens, of_image, pixels(), str(number)))
    return found


def plain(*shape: int) -> Callable[[], dict[str, Tensor]]:
    return lambda: {"pixel_values": torch.randn(1, *shape)}


def qwen(kind: Any, vision: dict[str, Any], **text: Any) -> tuple[Any, Prompts]:
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    config = kind(
        text_config=TEXT | {"rope_parameters": rope} | text,
        vision_config=QWEN | vision,
        image_token_id=IMAGE,
        video_token_id=61,
        vision_start_token_id=62,
        vision_end_token_id=63,
    )

    def pixels() -> dict[str, Tensor]:
        return {"pixel_values": torch.randn(16, 3 * 2 * 8 * 8), "image_grid_thw": torch.tensor([[1, 4, 4]])}

    return config, prompts(4, pixels, "mm_token_type_ids")


def llava_next() -> tuple[Any, Prompts]:
    config = LlavaNextConfig(
        text_config=LlamaConfig(**TEXT).to_dict(),
        vision_config=CLIP,
        image_token_index=IMAGE,
        image_grid_pinpoints=[[16, 32], [32, 16]],
    )
    tiles = {"image_sizes": torch.tensor([[32, 16]])}
    return config, prompts(16, lambda: {"pixel_values": torch.randn(1, 3, 3, 16, 16)} | tiles)


def idefics() -> tuple[Any, Prompts]:
    config = Idefics3Config(
        text_config=LlamaConfig(**TEXT).to_dict(),
        vision_config=EYES | {"image_size": 32},
        image_token_id=IMAGE,
        scale_factor=2,
    )
    mask = {"pixel_attention_mask": torch.ones(1, 2, 32, 32, dtype=torch.long)}
    return config, prompts(8, lambda: {"pixel_values": torch.randn(1, 2, 3, 32, 32)} | mask)


FAMILIES: Mapping[str, Callable[[], tuple[Any, Prompts]]] = {
    "llava": lambda: (
        LlavaConfig(text_config=LlamaConfig(**TEXT).to_dict(), vision_config=CLIP, image_token_index=IMAGE),
        prompts(4, plain(3, 16, 16)),
    ),
    "llava_next": llava_next,
    "gemma3": lambda: (
        Gemma3Config(
            text_config=Gemma3TextConfig(**TEXT, head_dim=8, sliding_window=64).to_dict(),
            vision_config=EYES,
            mm_tokens_per_image=4,
            boi_token_index=58,
            eoi_token_index=59,
            image_token_index=IMAGE,
        ),
        prompts(4, plain(3, 16, 16), "token_type_ids"),
    ),
    "qwen2_vl": lambda: qwen(Qwen2VLConfig, {"embed_dim": 16, "hidden_size": 32, "mlp_ratio": 1}),
    "qwen2_5_vl": lambda: qwen(
        Qwen2_5_VLConfig,
        {"hidden_size": 16, "out_hidden_size": 32, "intermediate_size": 16, "window_size": 32}
        | {"fullatt_block_indexes": [1]},
    ),
    "qwen3_vl": lambda: qwen(
        Qwen3VLConfig,
        {"hidden_size": 16, "out_hidden_size": 32, "intermediate_size": 16, "num_position_embeddings": 16}
        | {"deepstack_visual_indexes": [0]},
        head_dim=8,
    ),
    "idefics3": idefics,
    "internvl": lambda: (
        InternVLConfig(
            text_config=Qwen2Config(**TEXT).to_dict(),
            vision_config=EYES | {"image_size": [32, 32], "patch_size": [8, 8]},
            image_token_id=IMAGE,
            image_seq_length=4,
            downsample_ratio=0.5,
        ),
        prompts(4, plain(3, 32, 32)),
    ),
}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_features_give_what_pixels_give(family: str) -> None:
    torch.manual_seed(0)
    config, asked = FAMILIES[family]()
    network: Any = AutoModelForImageTextToText.from_config(config).eval()
    features = VisionFeatures()
    inputs = padded(asked, 0, device=network.device, left=True)
    shown = {name: torch.cat([prompt.pixels[name] for prompt in asked]) for name in asked[0].pixels}
    options: dict[str, Any] = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0}
    with torch.inference_mode():
        assert takes_features(network)
        seen = network(**inputs, **features.inputs(network, asked, "eyes")).logits[:, -1]
        torch.testing.assert_close(seen, network(**inputs, **shown).logits[:, -1])
        assert not torch.allclose(seen[0], seen[1], atol=1e-4)
        texts = network.generate(**inputs, **features.inputs(network, asked, "eyes"), **options)
        assert torch.equal(texts, network.generate(**inputs, **shown, **options))
    assert features.seen == len(asked)


def test_other_eyes_see_anew_and_the_oldest_are_forgotten_when_there_is_no_room() -> None:
    torch.manual_seed(0)
    config, asked = FAMILIES["llava"]()
    network: Any = AutoModelForImageTextToText.from_config(config).eval()
    features = VisionFeatures(most_bytes=2 * 4 * 32 * 4)  # both prompts' features, of one pair of eyes
    for eyes, seen in (("one", 2), ("one", 2), ("other", 4), ("other", 4), ("one", 6), (None, 8), (None, 10)):
        with torch.inference_mode():
            features.inputs(network, asked, eyes)
        assert features.seen == seen
