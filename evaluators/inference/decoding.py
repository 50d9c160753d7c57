"""Decoding with continuous batching: a row that ends makes room for the next prompt at once.

Prompts that begin alike (a few-shot header, or one prompt asked several times) have their beginning read
once.  Greedy texts are those that transformers' `generate` would give; sampled ones are drawn from what it
would draw from (`token_draws.py`).

Shapes: S slots, n rows in use, T columns in use, L tokens of the longest new prompt, V vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedModel

from evaluators.errors import BadScoreError
from evaluators.inference.prompts import Generated, Prompt
from evaluators.inference.shared_prefixes.passes import additive_mask, only_scored, read_beginning
from evaluators.inference.shared_prefixes.prefix_cache import Beginning
from evaluators.inference.shared_prefixes.slot_cache import SlotCache
from evaluators.inference.shared_prefixes.token_tree import Section
from evaluators.inference.stop_texts import StopTexts
from evaluators.inference.token_draws import WARPING, TokenDraws

_REFILL = 8  # new prompts are read when one in so many slots is free: a pass for one alone costs as much

# What alters a network's likeliest token, with the values at which it does not.
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "bad_words_ids": (None,),
    "begin_suppress_tokens": (None,),
    "constraints": (None,),
    "dola_layers": (None,),
    "exponential_decay_length_penalty": (None,),
    "force_words_ids": (None,),
    "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,),
    "guidance_scale": (None, 1, 1.0),
    "min_length": (None, 0),
    "min_new_tokens": (None, 0),
    "no_repeat_ngram_size": (None, 0),
    "num_beams": (None, 1),
    "penalty_alpha": (None, 0, 0.0),
    "repetition_penalty": (None, 1, 1.0),
    "sequence_bias": (None,),
    "stop_strings": (None,),
    "suppress_tokens": (None,),
    "token_healing": (None, False),
    "watermarking_config": (None,),
}


def is_plainly_greedy(network: PreTrainedModel, prompt: Prompt) -> bool:
    """Says whether the likeliest token is what `generate` would choose too."""
    return not prompt.settings.samples and goes_by_rows(network, prompt)


def goes_by_rows(network: PreTrainedModel, prompt: Prompt) -> bool:
    """Says whether `generate` would choose, or draw, by a row's newest logits alone."""
    options = prompt.settings.options
    others = {name: options[name] for name in options if name not in WARPING and name != "do_sample"}
    if any(value not in _NEUTRAL.get(name, (None,)) for name, value in others.items()):
        return False
    wanted = network.generation_config
    return all(getattr(wanted, name, None) in neutral for name, neutral in _NEUTRAL.items())


@dataclass(slots=True)
class _Row:
    """A prompt that is being continued; `length` tokens of it and its answer have been read."""

    number: int
    length: int
    tokens: list[int] = field(default_factory=list)


class Decoder:
    """Continues prompts on one network.

    Args:
        prompts: As the network reads them.
        stops: Per prompt.
        section: How the prompts' beginnings are shared.
        room: Tokens that one pass may read.
    """

    def __init__(
        self, prompts: Sequence[Prompt], stops: Sequence[StopTexts], section: Section, *, room: int
    ) -> None:
        self.prompts, self.stops, self.section, self.room = prompts, stops, section, room

    def run(self, network: PreTrainedModel, slots: int) -> dict[int, Generated]:
        """Returns each prompt's continuation by its number.

        Raises:
            BadScoreError: Logits are NaN.
        """
        return _Run(self, network, min(slots, len(self.prompts))).finished()

    def waiting(
        self, network: PreTrainedModel, section: Section, before: Beginning | None
    ) -> Iterator[tuple[Beginning | None, int, deque[int]]]:
        """Yields the prompts that follow each beginning, longest first, the beginning having been read."""
        if section.tokens:
            tokens = torch.tensor([section.tokens], device=network.device)
            before = read_beginning(network, tokens, before)
        numbers = [row for tree in section.trees for row in tree.rows]
        numbers.sort(key=lambda number: -len(self.prompts[number].tokens))
        if numbers:
            yield before, section.depth, deque(numbers)
        for below in section.sections:
            yield from self.waiting(network, below, before)


class _Run:
    """One candidate's answers in the making."""

    def __init__(self, decoder: Decoder, network: PreTrainedModel, slots: int) -> None:
        self._decoder, self._network, self._slots = decoder, network, slots
        self._prompts, self._stops = decoder.prompts, decoder.stops
        columns = max(len(prompt.tokens) + prompt.settings.new_tokens for prompt in self._prompts)
        layers = network.config.get_text_config().num_hidden_layers
        self._cache = SlotCache(layers, slots=slots, columns=columns)
        end = network.generation_config.eos_token_id
        self._ends = frozenset([end] if isinstance(end, int) else end or ())
        self._draws = TokenDraws(network, dict(enumerate(self._prompts)))
        self._rows: list[_Row] = []
        self._found: dict[int, Generated] = {}

    def finished(self) -> dict[int, Generated]:
        """Reads and continues until nothing waits."""
        for before, depth, numbers in self._decoder.waiting(self._network, self._decoder.section, None):
            while numbers:
                free = self._slots - len(self._rows)
                if free and (free * _REFILL >= self._slots or free >= len(numbers)):
                    self._admit(before, depth, self._next(numbers, depth, free))
                else:
                    self._step()
        while self._rows:
            self._step()
        return self._found

    def _next(self, numbers: deque[int], depth: int, free: int) -> list[int]:
        """Takes the prompts that one pass may read."""
        longest = len(self._prompts[numbers[0]].tokens) - depth
        count = min(free, len(numbers), max(self._decoder.room // longest, 1))
        return [numbers.popleft() for _ in range(count)]

    def _admit(self, before: Beginning | None, depth: int, numbers: Sequence[int]) -> None:
        """Reads prompts into free slots, and gives each its first token."""
        rest = [self._prompts[number].tokens[depth:] for number in numbers]
        length = max(map(len, rest))
        inputs_nL = torch.tensor([[*tokens, *([0] * (length - len(tokens)))] for tokens in rest])
        last_n = torch.tensor([index * length + len(tokens) - 1 for index, tokens in enumerate(rest)])
        device = self._network.device
        causal = torch.ones(1, length, length, dtype=torch.bool, device=device).tril()
        self._cache.prefill(len(self._rows), before)
        with only_scored(self._network, last_n.to(device)) as seen:
            logits = self._network(
                inputs_nL.to(device),
                attention_mask=additive_mask(causal, depth, self._network.dtype),
                position_ids=torch.arange(depth, depth + length, device=device)[None],
                past_key_values=self._cache,
                use_cache=True,
            ).logits
        self._rows.extend(_Row(number, depth + len(t)) for number, t in zip(numbers, rest, strict=True))
        chosen = logits if seen else logits.flatten(0, 1)[last_n.to(device)]
        self._accept(len(self._rows) - len(numbers), chosen)

    def _step(self) -> None:
        """Gives every row one more token."""
        device = self._network.device
        newest = [row.tokens[-1] for row in self._rows]
        lengths = [row.length for row in self._rows]
        both = torch.tensor([newest, lengths]).to(device)
        positions, width = both[1], max(lengths) + 1
        sees_nT = torch.arange(width, device=device)[None] <= positions[:, None]
        self._cache.step(positions, width)
        logits_n1V = self._network(
            both[0][:, None],
            attention_mask=additive_mask(sees_nT[:, None], 0, self._network.dtype),
            position_ids=positions[:, None],
            past_key_values=self._cache,
            use_cache=True,
        ).logits
        for row in self._rows:
            row.length += 1
        self._accept(0, logits_n1V[:, 0])

    def _accept(self, first: int, logits_nV: Tensor) -> None:  # noqa: N803 - a shape
        """Appends the next tokens to the rows from `first` on; rows that end leave their slots.

        Raises:
            BadScoreError: Logits are NaN.
        """
        tokens_n1 = logits_nV.argmax(dim=-1, keepdim=True)  # a NaN is the largest of all
        best_n1 = logits_nV.gather(-1, tokens_n1)
        tokens_n, broken_n = tokens_n1[:, 0], best_n1[:, 0].isnan().long()
        tokens_n = self._draws.replace(tokens_n, logits_nV, [row.number for row in self._rows[first:]])
        tokens, broken = torch.stack((tokens_n, broken_n)).tolist()
        if any(broken):
            raise BadScoreError(
                "generation", "logits are NaN", "the merged weights are probably broken: look at the recipe"
            )
        for row, token in zip(self._rows[first:], tokens, strict=True):
            row.tokens.append(token)
        for index in range(len(self._rows) - 1, first - 1, -1):
            if self._has_ended(self._rows[index]):
                self._leave(index)

    def _has_ended(self, row: _Row) -> bool:
        """Files the answer of a row that ends here."""
        stops = self._stops[row.number]
        ended = row.tokens[-1] in self._ends or stops.complete(row.tokens)
        full = len(row.tokens) >= self._prompts[row.number].settings.new_tokens
        if ended or full:
            self._found[row.number] = stops.generated(row.tokens, truncated=not ended)
        return ended or full

    def _leave(self, index: int) -> None:
        """Empties a slot; the last row moves there."""
        last = self._rows.pop()
        if index < len(self._rows):
            self._cache.move(len(self._rows), index)
            self._rows[index] = last
