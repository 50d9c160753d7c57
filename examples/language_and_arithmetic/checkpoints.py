"""Networks of the demo and their folders: a tiny Llama, a tokenizer whose tokens are words, safetensors."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from examples.language_and_arithmetic.questions import BOTH, EQUALS

LAYERS = 8
MADE_BY = "made_by.json"  # the settings that made a checkpoint, so that a second run can tell
_PAD, _END, _UNKNOWN = "<pad>", "<end>", "<unk>"

WORDS: tuple[str, ...] = (
    *(_PAD, _END, _UNKNOWN, EQUALS),
    *(word for language in BOTH for word in language.words()),
)
INDEX = {word: i for i, word in enumerate(WORDS)}


def new_model(seed: int) -> LlamaForCausalLM:
    """Returns an untrained network; torch's global generator is left as it was."""
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        pad_token_id=INDEX[_PAD],
        bos_token_id=None,
        eos_token_id=INDEX[_END],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        untyped: Any = LlamaForCausalLM(config)  # transformers' `to` has lost its types
        network: LlamaForCausalLM = untyped.to(torch.float32)
    return network


def tokenizer() -> PreTrainedTokenizerFast:
    """Returns the tokenizer, which knows the words of both languages and nothing else."""
    inner = Tokenizer(models.WordLevel(INDEX, unk_token=_UNKNOWN))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=_PAD, eos_token=_END, unk_token=_UNKNOWN, model_max_length=64
    )


def load_model(folder: Path) -> LlamaForCausalLM:
    """Returns a network of this demo from its folder."""
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def is_made(folder: Path, made_by: Mapping[str, object]) -> bool:
    """Tells whether a folder holds the checkpoint that these settings make."""
    record = folder / MADE_BY
    return record.is_file() and json.loads(record.read_text(encoding="utf-8")) == dict(made_by)


def save(model: LlamaForCausalLM, folder: Path, made_by: Mapping[str, object]) -> None:
    """Writes a checkpoint whole or not at all; one made with other settings is replaced."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        new = Path(temporary) / folder.name
        model.save_pretrained(new)
        tokenizer().save_pretrained(new)
        (new / MADE_BY).write_text(json.dumps(dict(made_by), indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        new.rename(folder)
