"""Generation until a stop text: planned once per tokenizer, run for every candidate.

Where the next token follows from a row's own logits, rows come and go (`decoding.py`); everything else
(beams, penalties) is transformers' own `generate` (`static_generation.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evaluators.inference.continuations import Limits
from evaluators.inference.decoding import Decoder, goes_by_rows, is_plainly_greedy
from evaluators.inference.engines import engine_of
from evaluators.inference.memory import run_unless_out_of_memory, slots_that_fit
from evaluators.inference.packed_weights import packed_weights
from evaluators.inference.prompts import DEFAULT_LENGTH, LENGTH_NAMES, Generated, GenerationSettings, Prompt
from evaluators.inference.shared_prefixes.sharing import Sharing
from evaluators.inference.shared_prefixes.token_tree import arrange
from evaluators.inference.static_generation import StaticBatches
from evaluators.inference.stop_texts import StopTexts

__all__ = ["DEFAULT_LENGTH", "LENGTH_NAMES", "Generated", "GenerationPlan", "GenerationSettings", "Prompt"]

_ROOM = 2048  # tokens of one pass, where it is not known what fits


class GenerationPlan:
    """How a fixed list of prompts is continued; holds no results.

    Attributes:
        lost: Per prompt, how many tokens at its beginning did not fit the network beside the answer.
        why_static: Why every batch waits for its longest answer; None where rows come and go.
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        tokenizer: PreTrainedTokenizerBase,
        *,
        limits: Limits,
        device: torch.device | str = "cpu",
        room: int | None = None,
    ) -> None:
        """Cuts and arranges.

        Raises:
            EvaluationError: A prompt is empty, or leaves no room for an answer.
        """
        self._tokenizer, self._limits, self._device = tokenizer, limits, device
        self._room = room or _ROOM
        self._prompts = [prompt.fitted(limits.max_length) for prompt in prompts]
        self.lost = tuple(
            len(whole.tokens) - len(cut.tokens) for whole, cut in zip(prompts, self._prompts, strict=True)
        )
        self.why_static = self._why_static()
        self._slots = limits.batch_size
        self._stepped: _Stepped | None = None
        self._static: tuple[frozenset[int], StaticBatches] | None = None

    def answers(self, network: PreTrainedModel) -> list[str]:
        """Returns each prompt's continuation, without the stop text and what follows it.

        Raises:
            BadScoreError: The network's logits are NaN.
            EvaluationError: Not even a single row fits the memory.
        """
        return [one.text for one in self.generated(network)]

    def generated(self, network: PreTrainedModel) -> list[Generated]:
        """Returns each prompt's continuation, its length, and whether it was cut off.

        Raises:
            BadScoreError: The network's logits are NaN.
            EvaluationError: Not even a single row fits the memory.
        """
        everything = frozenset(range(len(self._prompts)))
        engine, sent = engine_of(network), frozenset[int]()
        if engine is not None:  # it takes what is plainly greedy, whichever network it is
            sent = frozenset(n for n in everything if is_plainly_greedy(network, self._prompts[n]))
        rest = everything - sent
        stepped = frozenset(n for n in rest if self._goes_by_rows(network, n))
        with torch.inference_mode(), packed_weights(network, self._tokens(rest)):
            found: dict[int, Generated] = {}
            if engine is not None:
                found |= engine.continued(network, {n: self._prompts[n] for n in sorted(sent)})
            found |= self._decoded(network, stepped)
            found |= self._continued(network, rest - stepped)
        return [found[number] for number in sorted(everything)]

    def _tokens(self, numbers: Iterable[int]) -> int:
        """Returns how many tokens these prompts and their longest answers have."""
        chosen = (self._prompts[number] for number in numbers)
        return sum(len(one.tokens) + one.settings.new_tokens for one in chosen)

    def _why_static(self) -> str | None:
        sharing = self._limits.sharing
        if isinstance(sharing, str):
            return sharing
        longest = max((len(one.tokens) + one.settings.new_tokens for one in self._prompts), default=0)
        if sharing.window is not None and longest > sharing.window:
            return f"rows of {longest} tokens are longer than the sliding window of {sharing.window}"
        return None

    def _goes_by_rows(self, network: PreTrainedModel, number: int) -> bool:
        return self.why_static is None and goes_by_rows(network, self._prompts[number])

    def _decoded(self, network: PreTrainedModel, numbers: frozenset[int]) -> dict[int, Generated]:
        if not numbers:
            return {}
        if self._stepped is None or self._stepped.numbers != numbers:
            self._stepped = self._arranged(numbers)
            columns = max(len(one.tokens) + one.settings.new_tokens for one in self._prompts)
            self._slots = min(self._limits.batch_size, slots_that_fit(network, columns))
        while True:
            found = run_unless_out_of_memory(
                partial(self._stepped.decoder.run, network, self._slots), rows=self._slots
            )
            if found is not None:
                return {number: found[index] for number, index in self._stepped.indices.items()}
            self._slots //= 2  # for good, so that the next candidate does not run into it again

    def _arranged(self, numbers: frozenset[int]) -> _Stepped:
        """Arranges prompts; those that are asked several times are answered once."""
        if not isinstance(self._limits.sharing, Sharing):
            raise TypeError("rows come and go only where they may share")
        known: dict[tuple[tuple[int, ...], str], int] = {}
        indices: dict[int, int] = {}
        prompts: list[Prompt] = []
        for number in sorted(numbers):
            prompt = self._prompts[number]
            key = prompt.tokens, repr(prompt.settings)
            if key not in known:
                known[key] = len(prompts)
                prompts.append(prompt)
            indices[number] = known[key]
        stops = [StopTexts(self._tokenizer, prompt.settings) for prompt in prompts]
        rows = [prompt.tokens for prompt in prompts]
        section = arrange(rows, [len(row) - 1 for row in rows], self._limits.sharing.exchange, most=0)
        return _Stepped(numbers, indices, Decoder(prompts, stops, section, room=self._room))

    def _continued(self, network: PreTrainedModel, numbers: frozenset[int]) -> dict[int, Generated]:
        if not numbers:
            return {}
        if self._static is None or self._static[0] != numbers:
            chosen = {number: self._prompts[number] for number in sorted(numbers)}
            batches = StaticBatches(
                chosen, self._tokenizer, batch_size=self._limits.batch_size, device=self._device
            )
            self._static = numbers, batches
        return self._static[1].run(network)


@dataclass(frozen=True, slots=True)
class _Stepped:
    """Prompts to be continued row by row, and which of the decoder's each one is."""

    numbers: frozenset[int]
    indices: dict[int, int]
    decoder: Decoder
