"""Generation after prompts with images: prepared once, run for every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from evaluators.errors import EvaluationError
from evaluators.inference.continuations import Limits
from evaluators.inference.images.seen_prompts import SeenPrompt
from evaluators.inference.images.sight import Sight
from evaluators.inference.packed_weights import packed_weights
from evaluators.inference.prompts import Generated, GenerationSettings, Prompt
from evaluators.inference.static_generation import continued, padding_of, without_draws


@dataclass(frozen=True, slots=True)
class ImagePrompt:
    """A prompt with images, and how it is continued."""

    seen: SeenPrompt
    settings: GenerationSettings

    @property
    def text(self) -> Prompt:
        """Its tokens alone."""
        return Prompt(self.seen.tokens, self.settings)


class ImageGenerationPlan:
    """How a fixed list of prompts with images is continued; holds no results.

    Attributes:
        lost: Per prompt, how many tokens did not fit: none, for a prompt without its image is another one.
    """

    def __init__(self, prompts: Sequence[ImagePrompt], sight: Sight, *, limits: Limits) -> None:
        """Arranges.

        Raises:
            EvaluationError: A prompt and its answer do not fit the network.
        """
        for prompt in prompts:
            _check_length(len(prompt.seen.tokens), prompt.settings.new_tokens, limits.max_length)
        self._prompts, self._sight = prompts, sight
        self.lost = (0,) * len(prompts)
        alike: dict[str, list[int]] = {}
        for number, prompt in enumerate(prompts):
            alike.setdefault(f"{without_draws(prompt.settings)!r} {shapes_of(prompt.seen)}", []).append(
                number
            )
        self._batches: list[list[int]] = []
        for numbers in alike.values():
            numbers.sort(key=lambda number: (-len(prompts[number].seen.tokens), prompts[number].seen.tokens))
            self._batches += [
                numbers[i : i + limits.batch_size] for i in range(0, len(numbers), limits.batch_size)
            ]

    def answers(self, network: PreTrainedModel) -> list[str]:
        """Returns each prompt's continuation, without the stop text and what follows it.

        Raises:
            BadScoreError: The network's logits are NaN.
        """
        return [one.text for one in self.generated(network)]

    def generated(self, network: PreTrainedModel) -> list[Generated]:
        """Returns each prompt's continuation, its length, and whether it was cut off.

        Raises:
            BadScoreError: The network's logits are NaN.
        """
        found: dict[int, Generated] = {}
        tokens = sum(len(one.seen.tokens) + one.settings.new_tokens for one in self._prompts)
        with torch.inference_mode(), packed_weights(network, tokens):
            for numbers in self._batches:
                found |= zip(numbers, self._continue(network, numbers), strict=True)
        return [found[number] for number in range(len(self._prompts))]

    def _continue(self, network: PreTrainedModel, numbers: Sequence[int]) -> list[Generated]:
        chosen = [self._prompts[number].seen for number in numbers]
        tokenizer = self._sight.processor.tokenizer
        inputs = padded(chosen, padding_of(tokenizer), device=network.device, left=True)
        inputs |= self._sight.features.inputs(network, chosen, self._sight.eyes)
        return continued(network, inputs, {n: self._prompts[n].text for n in numbers}, tokenizer)


def shapes_of(prompt: SeenPrompt) -> str:
    """Returns what must be the same of prompts whose pixels are put together."""
    return repr(sorted((name, tuple(tensor.shape[1:])) for name, tensor in prompt.pixels.items()))


def padded(prompts: Sequence[SeenPrompt], pad: int, *, device: torch.device, left: bool) -> dict[str, Any]:
    """Returns tokens, mask and marks of prompts as tensors, filled up to one length."""
    length = max(len(prompt.tokens) for prompt in prompts)

    def filled(rows: Sequence[Sequence[int]], value: int) -> Tensor:
        fill = [[value] * (length - len(row)) for row in rows]
        pairs = zip(fill, rows, strict=True)
        return torch.tensor([[*f, *row] if left else [*row, *f] for f, row in pairs], device=device)

    found = {
        "input_ids": filled([prompt.tokens for prompt in prompts], pad),
        "attention_mask": filled([[1] * len(prompt.tokens) for prompt in prompts], 0),
    }
    names = prompts[0].marks
    return found | {name: filled([prompt.marks[name] for prompt in prompts], 0) for name in names}


def _check_length(tokens: int, new_tokens: int, max_length: int) -> None:
    if tokens + new_tokens > max_length:
        detail = f"a prompt with images takes {tokens} tokens, its answer {new_tokens}"
        remedy = "lower max_gen_toks, or use smaller images"
        raise EvaluationError("task", f"{detail}; the model reads {max_length}", remedy)
