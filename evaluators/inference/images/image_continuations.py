"""Log-likelihoods of continuations after prompts with images.  lm-eval's `hf-multimodal` has none.

Shapes: B rows of a batch, L their padded length, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from evaluators.errors import BadScoreError, EvaluationError
from evaluators.inference.continuations import Limits
from evaluators.inference.images.image_generation import padded, shapes_of
from evaluators.inference.images.seen_prompts import SeenPrompt
from evaluators.inference.images.sight import Sight
from evaluators.inference.packed_weights import packed_weights
from evaluators.inference.static_generation import padding_of

_MOST_LOGITS = 1 << 27  # float32 logits of one batch: half a GiB


@dataclass(frozen=True, slots=True)
class ImageContinuation:
    """A prompt with its continuation, and how many of its last tokens are scored."""

    seen: SeenPrompt
    scored: int


class ImageContinuationPlan:
    """The batches that score a fixed list of continuations; holds no results.

    Attributes:
        lost: Per continuation, how many tokens did not fit: none, as with answers.
    """

    def __init__(self, continuations: Sequence[ImageContinuation], sight: Sight, *, limits: Limits) -> None:
        """Arranges.

        Raises:
            EvaluationError: A continuation is empty, or does not fit the network.
        """
        for one in continuations:
            if one.scored <= 0 or len(one.seen.tokens) > limits.max_length + 1:
                detail = f"{one.scored} tokens to score of {len(one.seen.tokens)}, images included"
                remedy = "look for empty or overlong answers in the task's data, or use smaller images"
                raise EvaluationError("task", f"{detail}; the model reads {limits.max_length}", remedy)
        self._continuations, self._sight = continuations, sight
        self.lost = (0,) * len(continuations)
        alike: dict[str, list[int]] = {}
        for number, one in enumerate(continuations):
            alike.setdefault(shapes_of(one.seen), []).append(number)
        self._batches: list[list[int]] = []
        for numbers in alike.values():
            numbers.sort(key=lambda number: -len(continuations[number].seen.tokens))
            start = 0
            while start < len(numbers):
                longest = len(continuations[numbers[start]].seen.tokens)
                rows = min(limits.batch_size, max(_MOST_LOGITS // (longest * limits.vocabulary), 1))
                self._batches.append(numbers[start : start + rows])
                start += rows

    def answers(self, network: PreTrainedModel) -> list[tuple[float, bool]]:
        """Returns each continuation's log-likelihood, and whether greedy decoding gives it.

        Raises:
            BadScoreError: A log-likelihood is NaN.
        """
        found: dict[int, tuple[float, bool]] = {}
        tokens = sum(len(one.seen.tokens) for one in self._continuations)
        with torch.inference_mode(), packed_weights(network, tokens):
            for numbers in self._batches:
                found |= zip(numbers, self._judge(network, numbers), strict=True)
        if broken := sum(total != total for total, _ in found.values()):  # noqa: PLR0124 - NaN
            raise BadScoreError(
                "log-likelihood",
                f"{broken} of {len(found)} log-likelihoods are NaN",
                "the merged weights are probably broken: look at the recipe",
            )
        return [found[number] for number in range(len(self._continuations))]

    def _judge(self, network: PreTrainedModel, numbers: Sequence[int]) -> list[tuple[float, bool]]:
        chosen = [self._continuations[number] for number in numbers]
        seen = [one.seen for one in chosen]
        inputs = padded(seen, padding_of(self._sight.processor.tokenizer), device=network.device, left=False)
        inputs |= self._sight.features.inputs(network, seen, self._sight.eyes)
        logits_BLV = network(**inputs, use_cache=False).logits
        answers = []
        for row, one in enumerate(chosen):
            end = len(one.seen.tokens)
            wanted = torch.tensor(one.seen.tokens[end - one.scored :], device=network.device)
            logprobs = logits_BLV[row, end - one.scored - 1 : end - 1].float().log_softmax(-1)
            total = logprobs.gather(-1, wanted[:, None]).double().sum()
            greedy = (logprobs.argmax(-1) == wanted).all()
            answers.append((float(total), bool(greedy)))
        return answers
