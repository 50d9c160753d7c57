"""The networks of a family: a small Llama whose tokens are words, and its training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.searching.families.lessons import Family, Lesson, Question

_PAD, _END, _UNKNOWN = SPECIAL = ("<pad>", "<end>", "<unk>")
_BATCH, _DECAY, _LONGEST = 64, 0.1, 32


def index_of(family: Family) -> dict[str, int]:
    """Returns each word's token."""
    return {word: place for place, word in enumerate((*SPECIAL, *family.words))}


def new_network(family: Family, seed: int) -> LlamaForCausalLM:
    """Returns an untrained network; torch's global generator is left as it was."""
    config = LlamaConfig(
        vocab_size=len(index_of(family)),
        hidden_size=family.hidden,
        intermediate_size=2 * family.hidden,
        num_hidden_layers=family.layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=_LONGEST,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        untyped: Any = LlamaForCausalLM(config)  # transformers' `to` has lost its types
        network: LlamaForCausalLM = untyped.to(torch.float32)
    return network


def save(network: LlamaForCausalLM, family: Family, folder: Path) -> None:
    """Writes a checkpoint with its tokenizer."""
    network.save_pretrained(folder)
    inner = Tokenizer(models.WordLevel(index_of(family), unk_token=_UNKNOWN))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=_PAD,
        eos_token=_END,
        unk_token=_UNKNOWN,
        model_max_length=_LONGEST,
    ).save_pretrained(folder)


def with_adapter(network: LlamaForCausalLM, rank: int, seed: int) -> Any:  # noqa: ANN401 - peft has no types
    """Returns the network with a LoRA adapter on every matrix of its layers, which alone wants gradients."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_peft_model(network, config)


def teach(network: Any, family: Family, lesson: Lesson, seed: int) -> None:  # noqa: ANN401 - also adapters
    """Trains a network in place on the answers of a lesson's questions; only weights that want gradients."""
    index, draw = index_of(family), torch.Generator().manual_seed(seed)
    longest = max(len(f"{q.prompt} {q.answer}".split()) for _, questions in lesson.parts for q in questions)
    parts = [_encoded(questions, index, longest) for _, questions in lesson.parts]
    shares = torch.tensor([share for share, _ in lesson.parts])
    optimizer = _optimizer(network, lesson)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _pace(step, lesson.steps))
    network.train()
    for _ in range(lesson.steps):
        counts = torch.bincount(
            torch.multinomial(shares, _BATCH, replacement=True, generator=draw), minlength=len(parts)
        )
        rows = [
            (words[drawn], answers[drawn])
            for (words, answers), count in zip(parts, counts.tolist(), strict=True)
            for drawn in (torch.randint(len(words), (count,), generator=draw),)
        ]
        loss = _loss(network, torch.cat([w for w, _ in rows]), torch.cat([a for _, a in rows]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    network.eval()


def _encoded(questions: Sequence[Question], index: dict[str, int], longest: int) -> tuple[Tensor, Tensor]:
    """Returns words and what is to be said after each (-100: nothing), both of shape [questions, longest].

    Filled up on the right: a causal model does not look there.
    """
    words = torch.zeros(len(questions), longest, dtype=torch.long)
    answers = torch.full_like(words, -100)
    for row, question in enumerate(questions):
        prompt, answer = ([index[w] for w in part.split()] for part in (question.prompt, question.answer))
        words[row, : len(prompt) + len(answer)] = torch.tensor([*prompt, *answer])
        answers[row, len(prompt) - 1 : len(prompt) + len(answer) - 1] = torch.tensor(answer)
    return words, answers


def _loss(network: Any, words: Tensor, answers: Tensor) -> Tensor:  # noqa: ANN401
    logits = network(input_ids=words, use_cache=False).logits
    return functional.cross_entropy(logits.flatten(0, 1), answers.flatten(), ignore_index=-100)


def _optimizer(network: Any, lesson: Lesson) -> torch.optim.Optimizer:  # noqa: ANN401
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(_factor(name, lesson), []).append(parameter)
    settings = [{"params": group, "lr": lesson.rate * factor} for factor, group in groups.items()]
    return torch.optim.AdamW(settings, betas=(0.9, 0.98), weight_decay=_DECAY, fused=True)


def _factor(name: str, lesson: Lesson) -> float:
    pieces = name.split(".")
    if "layers" not in pieces:
        return lesson.outer
    layer = int(pieces[pieces.index("layers") + 1])
    return lesson.layers[layer] if lesson.layers else 1.0


def _pace(step: int, steps: int) -> float:
    """Returns the share of the highest rate: a short linear rise, then a cosine's fall."""
    rise = max(1, min(30, steps // 10))
    return (
        (step + 1) / rise if step < rise else 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))
    )
