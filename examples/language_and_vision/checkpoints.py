"""Networks of the example and their folders: a tiny Llama, a tiny LLaVA around one, a tokenizer of words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from examples.language_and_vision.pictures import FIELD, SIDE
from examples.language_and_vision.world import END, IMAGE, IMAGE_TOKENS, PAD, WORDS

INDEX = {word: i for i, word in enumerate(WORDS)}


def _reading() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        pad_token_id=INDEX[PAD],
        bos_token_id=None,
        eos_token_id=INDEX[END],
    )


def new_reader(seed: int) -> LlamaForCausalLM:
    """Returns an untrained language model; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        untyped: Any = LlamaForCausalLM(_reading())
        network: LlamaForCausalLM = untyped.to(torch.float32)
    return network


def reader_in(folder: Path) -> LlamaForCausalLM:
    """Returns a language model from its folder."""
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def with_new_eyes(reader: LlamaForCausalLM, seed: int) -> LlavaForConditionalGeneration:
    """Returns a LLaVA with this language model, and eyes that saw nothing yet."""
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=FIELD,
    )
    config = LlavaConfig(
        text_config=reader.config,
        vision_config=vision,
        image_token_index=INDEX[IMAGE],
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        untyped: Any = LlavaForConditionalGeneration(config)
        network: Any = untyped.to(torch.float32)
    network.model.language_model.load_state_dict(reader.model.state_dict())
    network.lm_head.load_state_dict(reader.lm_head.state_dict())
    found: LlavaForConditionalGeneration = network
    return found


def tokenizer() -> PreTrainedTokenizerFast:
    """Returns the tokenizer, which knows the words of both languages and nothing else."""
    inner = Tokenizer(models.WordLevel(INDEX, unk_token=PAD))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    found = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=PAD, eos_token=END, unk_token=PAD, model_max_length=64
    )
    found.add_special_tokens({"additional_special_tokens": [IMAGE]})
    return found


def image_processor() -> CLIPImageProcessorPil:
    """Returns what makes pictures ready for the eyes."""
    return CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})


def save(network: Any, folder: Path) -> Path:  # noqa: ANN401 - a network of either kind
    """Writes a checkpoint with its tokenizer, and its processor where it sees."""
    network.save_pretrained(folder)
    if isinstance(network, LlamaForCausalLM):
        tokenizer().save_pretrained(folder)
        return folder
    LlavaProcessor(
        image_processor=image_processor(),
        tokenizer=tokenizer(),
        patch_size=FIELD,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # the class token, which is then left out
    ).save_pretrained(folder)
    return folder
