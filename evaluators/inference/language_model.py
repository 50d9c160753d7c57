"""A language model whose weights already lie in memory, and how it is asked.  Knows nothing of lm-eval.

Texts are cut into tokens exactly as lm-eval's `HFLM` cuts them, so that both give the same scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from evaluators.errors import EvaluationError
from evaluators.inference.continuations import Continuation, ContinuationPlan, Limits
from evaluators.inference.generation import GenerationPlan, GenerationSettings, Prompt
from evaluators.inference.images.image_continuations import ImageContinuationPlan
from evaluators.inference.images.image_generation import ImageGenerationPlan
from evaluators.inference.images.planning import plan_image_continuations, plan_image_generations
from evaluators.inference.images.sight import sight_of
from evaluators.inference.memory import tokens_that_fit
from evaluators.inference.shared_prefixes.sharing import sharing_of

_DEFAULT_LENGTH = 2048  # tokens, where neither model nor tokenizer states how much can be read
_NO_LENGTH = 10**29  # what tokenizers write when they know no length


class TextPlan:
    """The batches that score whole texts, each token given all before it that fit."""

    def __init__(
        self, windows: Sequence[Sequence[Continuation]], *, limits: Limits, device: torch.device, room: int
    ) -> None:
        self._counts = [len(of_text) for of_text in windows]
        self._plan = ContinuationPlan(
            [window for of_text in windows for window in of_text], limits=limits, device=device, room=room
        )

    def answers(self, network: PreTrainedModel) -> list[float]:
        """Returns each text's log-likelihood.

        Raises:
            BadScoreError: A log-likelihood is NaN.
        """
        totals = np.array([total for total, _ in self._plan.answers(network)])
        ends = np.cumsum(self._counts)
        return [float(totals[end - count : end].sum()) for end, count in zip(ends, self._counts, strict=True)]


Plan = ContinuationPlan | TextPlan | GenerationPlan | ImageContinuationPlan | ImageGenerationPlan


class InMemoryModel:
    """A causal language model, its tokenizer, and the number of sequences per forward pass.

    Questions are planned (tokens, batches) once and may then be put to every later model of the same
    `footing`.
    """

    def __init__(
        self, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, batch_size: int = 64
    ) -> None:
        if network.training:  # asking all modules takes longer than planning
            network.eval()
        self.network, self.tokenizer = network, tokenizer
        config = network.config.get_text_config()
        length = _reading_length(config, tokenizer)
        self._limits = Limits(length, config.vocab_size, batch_size, sharing_of(network))
        self._device: torch.device = network.device

    @property
    def footing(self) -> tuple[object, ...]:
        """All that a plan depends on besides the questions; the weights are not among it."""
        return self.tokenizer, self._limits, self._device, sight_of(self.network)

    @property
    def max_length(self) -> int:
        """How many tokens it reads at once."""
        return self._limits.max_length

    def plan_continuations(self, pairs: Sequence[tuple[str, str]]) -> ContinuationPlan:
        """Plans the scoring of (context, continuation) pairs.

        Raises:
            EvaluationError: A continuation is empty or does not fit the model.
        """
        room = tokens_that_fit(self.network)
        return ContinuationPlan(list(self._split(pairs)), limits=self._limits, device=self._device, room=room)

    def plan_texts(self, texts: Sequence[str]) -> TextPlan:
        """Plans the scoring of whole texts; the first token follows the begin-of-text token."""
        tokens = self._tokens(texts)
        windows = [list(self._windows(tokens[text])) for text in texts]
        room = tokens_that_fit(self.network)
        return TextPlan(windows, limits=self._limits, device=self._device, room=room)

    def plan_generations(
        self, prompts: Sequence[tuple[str, Mapping[str, Any]]], draws: Sequence[int] | None = None
    ) -> GenerationPlan:
        """Plans the continuation of (prompt, generation arguments) pairs.

        Args:
            prompts: What is continued, and how.
            draws: Per prompt, which of its draws it is, where it is asked several times and sampled.

        Raises:
            EvaluationError: More new tokens are wanted than the model can read.
        """
        end = self.tokenizer.eos_token_id
        end_of_text = None if end is None else str(self.tokenizer.decode(end))
        tokens = self._tokens([prompt for prompt, _ in prompts])
        asked = [
            Prompt(tokens[prompt], GenerationSettings.of_task(wanted, end_of_text, draw=draw))
            for (prompt, wanted), draw in zip(prompts, draws or [0] * len(prompts), strict=True)
        ]
        room = tokens_that_fit(self.network)
        return GenerationPlan(asked, self.tokenizer, limits=self._limits, device=self._device, room=room)

    def plan_image_generations(
        self,
        asked: Sequence[tuple[str, Mapping[str, Any], Sequence[Any]]],
        draws: Sequence[int] | None = None,
    ) -> ImageGenerationPlan:
        """Plans the continuation of (prompt, generation arguments, images), as `plan_generations` does.

        Raises:
            EvaluationError: The network does not see, or a prompt does not fit it.
        """
        return plan_image_generations(self.network, asked, self._limits, draws)

    def plan_image_continuations(
        self, asked: Sequence[tuple[str, str, Sequence[Any]]]
    ) -> ImageContinuationPlan:
        """Plans the scoring of (context, continuation, images).

        Raises:
            EvaluationError: The network does not see, or a continuation cannot be scored.
        """
        return plan_image_continuations(self.network, asked, self._limits)

    def _split(self, pairs: Sequence[tuple[str, str]]) -> Iterator[Continuation]:
        """Cuts each pair into tokens as one text, so that words may span the border as they do in prose."""
        heads = [context.rstrip() for context, _ in pairs]  # spaces belong to the word that follows them
        wholes = [context + continuation for context, continuation in pairs]
        tokens = self._tokens(
            [text for head, whole in zip(heads, wholes, strict=True) if head for text in (head, whole)]
        )
        bare = self._bare_tokens([whole for head, whole in zip(heads, wholes, strict=True) if not head])
        for head, whole in zip(heads, wholes, strict=True):
            if head:
                context = tokens[head]
                yield Continuation(context, tokens[whole][len(context) :])
            elif bare[whole][:1] == (self._first_token,):
                yield Continuation(bare[whole][:1], bare[whole][1:])
            else:
                yield Continuation((self._first_token,), bare[whole])

    def _windows(self, tokens: tuple[int, ...]) -> Iterator[Continuation]:
        """Cuts a text into windows that together score each token once."""
        length = self._limits.max_length
        if tokens:
            yield Continuation((self._first_token,), tokens[:length])
        for start in range(length, len(tokens), length):
            end = min(start + length, len(tokens))
            yield Continuation(tokens[end - length - 1 : start], tokens[start:end])

    def _tokens(self, texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """Returns the tokens of each text, with the tokenizer's own special tokens, but never twice."""
        first = self._begin_of_text
        started = [text for text in texts if first and text.startswith(first)]
        others = [text for text in texts if not (first and text.startswith(first))]
        return self._bare_tokens(started) | self._encode(others)

    def _bare_tokens(self, texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
        return self._encode(texts, add_special_tokens=False)

    def _encode(self, texts: Sequence[str], **options: bool) -> dict[str, tuple[int, ...]]:
        unique = list(dict.fromkeys(texts))
        if not unique:
            return {}
        encoded = self.tokenizer(unique, return_attention_mask=False, **options)["input_ids"]
        return {text: tuple(tokens) for text, tokens in zip(unique, encoded, strict=True)}

    @property
    def _first_token(self) -> int:
        """What a text without context follows: the begin-of-text token, or the end-of-text token.

        Raises:
            EvaluationError: The tokenizer has neither.
        """
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise EvaluationError(
            "tokenizer",
            "it has neither a begin-of-text nor an end-of-text token to score a text from",
            "set bos_token in the parent's tokenizer_config.json",
        )

    @property
    def _begin_of_text(self) -> str:
        tokens = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        token = next((token for token in tokens if token is not None), None)
        return "" if token is None else str(self.tokenizer.decode(token))


def _reading_length(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """Returns how many tokens the model can read at once."""
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        length = getattr(config, name, None)
        if length is not None:
            return int(length)
    length = getattr(tokenizer, "model_max_length", None)
    return int(length) if length is not None and length < _NO_LENGTH else _DEFAULT_LENGTH
