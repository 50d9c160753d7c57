"""Greedy (or seeded) generation until a stop text: planned once per tokenizer, run for every candidate.

Shapes: B rows of a batch, L their padded length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)

from evaluators.continuations import Limits
from evaluators.errors import BadScoreError, EvaluationError

LENGTH_NAMES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
DEFAULT_LENGTH = 256  # tokens, as in lm-eval
_SEED = 0  # where a task samples: the same weights always give the same texts


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How a text is continued: at most `new_tokens`, up to the first of the `stops`.

    Attributes:
        options: Further arguments of the network's `generate`.
        seed: Of what is drawn where a task samples.
    """

    stops: tuple[str, ...]
    new_tokens: int = DEFAULT_LENGTH
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = _SEED

    @classmethod
    def of_task(cls, wanted: Mapping[str, Any], end_of_text: str | None) -> GenerationSettings:
        """Reads a task's generation arguments; the first given name of the length counts."""
        options = {
            name: value
            for name, value in wanted.items()
            if name not in ("until", "max_length", "seed", *LENGTH_NAMES)
        }
        lengths = [int(wanted[name]) for name in LENGTH_NAMES if wanted.get(name) is not None]
        until = wanted.get("until") or []
        stops = [until] if isinstance(until, str) else list(until)
        if end_of_text and end_of_text not in stops:
            stops.append(end_of_text)
        temperature = float(options.pop("temperature", None) or 0.0)
        options["do_sample"] = bool(options.get("do_sample", temperature > 0))
        if options["do_sample"] and temperature > 0:
            options["temperature"] = temperature
        return cls(
            tuple(stop for stop in stops if stop),
            next(iter(lengths), DEFAULT_LENGTH),
            options,
            int(wanted.get("seed") or _SEED),
        )


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids to continue, and how."""

    tokens: tuple[int, ...]
    settings: GenerationSettings


@dataclass(frozen=True, slots=True)
class _Batch:
    inputs: Tensor  # B x L, padded on the left
    mask: Tensor  # B x L
    settings: GenerationSettings
    numbers: tuple[int, ...]  # of the prompts


class GenerationPlan:
    """The batches that continue a fixed list of prompts; holds no results."""

    def __init__(
        self,
        prompts: Sequence[Prompt],
        tokenizer: PreTrainedTokenizerBase,
        *,
        limits: Limits,
        device: torch.device | str = "cpu",
    ) -> None:
        self._tokenizer, self._size = tokenizer, len(prompts)
        self._pad = _first(tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id, 0)
        alike: dict[str, list[int]] = {}
        for number, prompt in enumerate(prompts):
            alike.setdefault(repr(prompt.settings), []).append(number)
        self.batches: list[_Batch] = []
        for numbers in alike.values():
            numbers.sort(key=lambda number: (-len(prompts[number].tokens), prompts[number].tokens))
            for start in range(0, len(numbers), limits.batch_size):
                chosen = tuple(numbers[start : start + limits.batch_size])
                batch = [prompts[number] for number in chosen]
                inputs_BL, mask_BL = _left_padded(batch, limits.max_length, self._pad)
                self.batches.append(
                    _Batch(inputs_BL.to(device), mask_BL.to(device), batch[0].settings, chosen)
                )

    def answers(self, network: PreTrainedModel) -> list[str]:
        """Returns each prompt's continuation, without the stop text and what follows it.

        Raises:
            BadScoreError: The network's logits are NaN.
        """
        texts = [""] * self._size
        devices = [network.device] if network.device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(self.batches[0].settings.seed if self.batches else _SEED)
            for batch in self.batches:
                for number, text in zip(batch.numbers, self._continue(network, batch), strict=True):
                    texts[number] = text
        return texts

    def _continue(self, network: PreTrainedModel, batch: _Batch) -> list[str]:
        length = batch.inputs.shape[1]
        stop = _StopWatch(self._tokenizer, batch.settings.stops, start=length, rows=len(batch.numbers))
        watch = _NanWatch()
        tokens_BL = network.generate(
            input_ids=batch.inputs,
            attention_mask=batch.mask,
            max_new_tokens=batch.settings.new_tokens,
            stopping_criteria=StoppingCriteriaList([stop]),
            logits_processor=LogitsProcessorList([watch]),
            pad_token_id=self._pad,
            **batch.settings.options,
        )
        if watch.found:
            raise BadScoreError(
                "generation", "logits are NaN", "the merged weights are probably broken: look at the recipe"
            )
        rows = tokens_BL[:, length:].tolist()
        return [self._text(row[:end], batch.settings.stops) for row, end in zip(rows, stop.ends, strict=True)]

    def _text(self, tokens: list[int], stops: tuple[str, ...]) -> str:
        text = str(self._tokenizer.decode(tokens, skip_special_tokens=True))
        for stop in stops:
            text = text.split(stop)[0]
        return text


class _StopWatch(StoppingCriteria):  # type: ignore[misc]
    """Ends each row where a stop text appears in it; `ends` counts its tokens till then."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        stops: tuple[str, ...],
        *,
        start: int,
        rows: int,
    ) -> None:
        self._tokenizer, self._stops, self._start = tokenizer, stops, start
        # A token is at least a byte; two more, because a token may hold a stop's end and further text.
        self._reach = max((len(stop.encode()) for stop in stops), default=0) + 2
        self.ends: list[int | None] = [None] * rows

    def __call__(self, input_ids: Tensor, scores: Tensor, **options: Any) -> Tensor:  # noqa: ARG002, ANN401
        length = input_ids.shape[1] - self._start
        tail = input_ids[:, self._start :][:, -self._reach :].tolist()
        for row, end in enumerate(self.ends):
            if end is None:
                text = self._tokenizer.decode(tail[row])
                if any(stop in text for stop in self._stops):
                    self.ends[row] = length
        return torch.tensor([end is not None for end in self.ends], device=input_ids.device)


class _NanWatch(LogitsProcessor):  # type: ignore[misc]
    """Notes NaN logits, and hides them from the sampler, which would bring the device down."""

    def __init__(self) -> None:
        self._found: Tensor | None = None

    @property
    def found(self) -> bool:
        return self._found is not None and bool(self._found)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002
        broken = scores.isnan()
        self._found = broken.any() if self._found is None else self._found | broken.any()
        return scores.masked_fill(broken, 0.0)


def _left_padded(prompts: Sequence[Prompt], max_length: int, pad: int) -> tuple[Tensor, Tensor]:
    """Returns inputs and mask; prompts lose their beginning where the answer would not fit."""
    room = max_length - prompts[0].settings.new_tokens
    if room <= 0:
        raise EvaluationError(
            "task",
            f"asks for {prompts[0].settings.new_tokens} new tokens, where the model reads {max_length}",
            "lower max_gen_toks in the task's generation_kwargs",
        )
    rows = [prompt.tokens[-room:] for prompt in prompts]
    length = max(map(len, rows))
    inputs_BL = torch.tensor([[pad] * (length - len(row)) + list(row) for row in rows])
    mask_BL = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
    return inputs_BL, mask_BL


def _first(*numbers: int | None) -> int:
    return next(number for number in numbers if number is not None)
