"""Generation by transformers' own `generate`: beams, penalties, and networks that share nothing.

Shapes: B rows of a batch, L their padded length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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

from evaluators.errors import BadScoreError, EvaluationError
from evaluators.inference.prompts import Generated, GenerationSettings, Prompt
from evaluators.inference.stop_texts import StopTexts
from evaluators.inference.token_draws import WARPING, DrawnOnly, TokenDraws


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts that are continued together, all in the same way; only what they draw may differ."""

    inputs: Tensor  # B x L, padded on the left
    mask: Tensor  # B x L
    settings: GenerationSettings
    numbers: tuple[int, ...]  # of the prompts


class StaticBatches:
    """The batches that continue prompts, each until its longest answer ends.

    Args:
        prompts: As the network reads them, by their numbers.
        tokenizer: Theirs.
        batch_size: Rows of a batch.
        device: Where the network lies.
    """

    def __init__(
        self,
        prompts: dict[int, Prompt],
        tokenizer: PreTrainedTokenizerBase,
        *,
        batch_size: int,
        device: torch.device | str,
    ) -> None:
        self._tokenizer, self._prompts = tokenizer, prompts
        alike: dict[str, list[int]] = {}
        for number, prompt in prompts.items():
            alike.setdefault(repr(without_draws(prompt.settings)), []).append(number)
        self.batches: list[Batch] = []
        for numbers in alike.values():
            numbers.sort(key=lambda number: (-len(prompts[number].tokens), prompts[number].tokens))
            for start in range(0, len(numbers), batch_size):
                chosen = tuple(numbers[start : start + batch_size])
                batch = [prompts[number] for number in chosen]
                inputs_BL, mask_BL = _left_padded(batch, padding_of(tokenizer))
                self.batches.append(
                    Batch(inputs_BL.to(device), mask_BL.to(device), batch[0].settings, chosen)
                )

    def run(self, network: PreTrainedModel) -> dict[int, Generated]:
        """Returns each prompt's continuation by its number.

        Raises:
            BadScoreError: Logits are NaN.
            EvaluationError: The network keeps beams, and tokens are to be drawn.
        """
        found: dict[int, Generated] = {}
        for batch in self.batches:
            inputs = {"input_ids": batch.inputs, "attention_mask": batch.mask}
            prompts = {number: self._prompts[number] for number in batch.numbers}
            answers = continued(network, inputs, prompts, self._tokenizer)
            found |= zip(batch.numbers, answers, strict=True)
        return found


def continued(
    network: PreTrainedModel,
    inputs: Mapping[str, Any],
    prompts: Mapping[int, Prompt],
    tokenizer: PreTrainedTokenizerBase,
) -> list[Generated]:
    """Returns what `generate` continues each row with.

    Args:
        network: Who writes.
        inputs: `input_ids`, B x L, padded on the left, and whatever else the network reads.
        prompts: Of the rows, in their order; they differ in nothing but tokens and draws.
        tokenizer: The network's.

    Raises:
        BadScoreError: Logits are NaN.
        EvaluationError: The network keeps beams, and tokens are to be drawn.
    """
    settings = next(iter(prompts.values())).settings
    length = inputs["input_ids"].shape[1]
    stops = StopTexts(tokenizer, settings)
    stop, watch = _StopWatch(stops, start=length, rows=len(prompts)), _NanWatch()
    generate: Any = network.generate  # GenerationMixin's, which PreTrainedModel does not declare
    tokens_BL: Tensor = generate(
        **inputs,
        max_new_tokens=settings.new_tokens,
        stopping_criteria=StoppingCriteriaList([stop]),
        logits_processor=LogitsProcessorList([watch, *_drawing(network, prompts, settings)]),
        pad_token_id=padding_of(tokenizer),
        **_taking_the_likeliest(settings.options),
    )
    if watch.found:
        raise BadScoreError(
            "generation", "logits are NaN", "the merged weights are probably broken: look at the recipe"
        )
    end = network.generation_config.eos_token_id
    ends = frozenset([end] if isinstance(end, int) else end or ())
    rows = [row[:end] for row, end in zip(tokens_BL[:, length:].tolist(), stop.ends, strict=True)]
    return [
        stops.generated(row, truncated=end is None and ends.isdisjoint(row))
        for row, end in zip(rows, stop.ends, strict=True)
    ]


def padding_of(tokenizer: PreTrainedTokenizerBase) -> int:
    """Returns the token that fills rows up."""
    return _first(tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id, 0)


def without_draws(settings: GenerationSettings) -> GenerationSettings:
    """Returns what prompts must have in common to be continued together."""
    return replace(settings, seed=0, draw=0)


def _drawing(
    network: PreTrainedModel, prompts: Mapping[int, Prompt], settings: GenerationSettings
) -> list[LogitsProcessor]:
    if not settings.samples:
        return []
    beams = network.generation_config.num_beams
    if beams not in (None, 1):
        detail = f"the model's generation_config.json keeps {beams} beams, and tokens are drawn"
        raise EvaluationError("generation.num_beams", detail, "write temperature: 0, or num_beams: 1 there")
    return [DrawnOnly(TokenDraws(network, dict(prompts)), tuple(prompts))]


def _taking_the_likeliest(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options of `generate` without those that draw: what is drawn is the likeliest by then."""
    return {name: value for name, value in options.items() if name not in WARPING} | {"do_sample": False}


class _StopWatch(StoppingCriteria):
    """Ends each row where a stop text appears in it; `ends` counts its tokens till then."""

    def __init__(self, stops: StopTexts, *, start: int, rows: int) -> None:
        self._stops, self._start = stops, start
        self.ends: list[int | None] = [None] * rows

    def __call__(self, input_ids: Tensor, scores: Tensor, **options: Any) -> Tensor:  # noqa: ARG002, ANN401
        answers = input_ids[:, self._start :].tolist()
        for row, end in enumerate(self.ends):
            if end is None and self._stops.complete(answers[row]):
                self.ends[row] = len(answers[row])
        return torch.tensor([end is not None for end in self.ends], device=input_ids.device)


class _NanWatch(LogitsProcessor):
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


def _left_padded(prompts: Sequence[Prompt], pad: int) -> tuple[Tensor, Tensor]:
    """Returns inputs and mask."""
    rows = [prompt.tokens for prompt in prompts]
    length = max(map(len, rows))
    inputs_BL = torch.tensor([[pad] * (length - len(row)) + list(row) for row in rows])
    mask_BL = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
    return inputs_BL, mask_BL


def _first(*numbers: int | None) -> int:
    return next(number for number in numbers if number is not None)
