"""Stop texts: where a generated answer ends.

A stop text is complete only when its last letter has come.  So nothing is decoded but the few last
tokens, and these only if the newest token holds that letter.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from evaluators.inference.prompts import Generated, GenerationSettings

_BROKEN = "\N{REPLACEMENT CHARACTER}"  # what a part of a letter is decoded to


class StopTexts:
    """The stop texts of one prompt, as one tokenizer writes them, and what ends its reasoning."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: GenerationSettings) -> None:
        self._tokenizer, self._stops = tokenizer, settings.stops
        self._think_end = settings.think_end
        stops = self._stops
        self._may_end = _may_end(tokenizer, stops)
        # A token is at least a byte; two more, because a token may hold a stop's end and further text.
        self._reach = max((len(stop.encode()) for stop in stops), default=0) + 2

    def complete(self, tokens: Sequence[int]) -> bool:
        """Says whether the newest of these tokens completes a stop text."""
        newest = tokens[-1]
        if newest < len(self._may_end) and not self._may_end[newest]:
            return False
        text = str(self._tokenizer.decode(list(tokens[-self._reach :])))
        return any(stop in text for stop in self._stops)

    def generated(self, tokens: Sequence[int], *, truncated: bool) -> Generated:
        """Returns an answer that was written in full, or cut off."""
        reasoning = self._reasoning(tokens, truncated=truncated)
        return Generated(self.before(tokens), len(tokens), truncated, reasoning)

    def before(self, tokens: Sequence[int]) -> str:
        """Returns the text of these tokens up to the first stop text; reasoning is cut off, as in lm-eval."""
        text = self._after_reasoning(tokens)
        for stop in self._stops:
            text = text.split(stop)[0]
        return text

    def _reasoning(self, tokens: Sequence[int], *, truncated: bool) -> int:
        """Counts the tokens up to the last end of reasoning; without one, what was cut off was reasoning."""
        end, otherwise = self._think_end, len(tokens) if truncated else 0
        if end is None:
            return 0
        if isinstance(end, int):
            return len(tokens) - tokens[::-1].index(end) if end in tokens else otherwise

        def ends(count: int) -> int:
            return str(self._tokenizer.decode(list(tokens[:count]), skip_special_tokens=True)).count(end)

        wanted = ends(len(tokens))
        return bisect_left(range(len(tokens)), wanted, key=ends) if wanted else otherwise

    def _after_reasoning(self, tokens: Sequence[int]) -> str:
        end, kept = self._think_end, list(tokens)
        if isinstance(end, int) and end in kept:
            kept = kept[len(kept) - kept[::-1].index(end) :]
        text = str(self._tokenizer.decode(kept, skip_special_tokens=True))
        if isinstance(end, str):
            text = text.split(end)[-1]
        return text if end is None else text.lstrip()


@lru_cache(maxsize=64)
def _may_end(tokenizer: PreTrainedTokenizerBase, stops: tuple[str, ...]) -> bytes:
    """Returns, by token, whether it may complete one of the stop texts.

    Decoders put spaces between tokens that hold none, so that any token may complete a stop text which
    ends with one.
    """
    if not stops:
        return bytes(len(tokenizer))
    if any(stop.endswith(" ") for stop in stops):
        return bytes([1]) * len(tokenizer)
    letters = {stop[-1] for stop in stops}
    pieces = _pieces(tokenizer)
    return bytes(_BROKEN in piece or not letters.isdisjoint(piece) for piece in pieces)


@lru_cache(maxsize=4)
def _pieces(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Returns each token as it is decoded alone, and as the vocabulary writes it."""
    numbers = range(len(tokenizer))
    decoded = tokenizer.batch_decode([[number] for number in numbers])
    written = tokenizer.convert_ids_to_tokens(list(numbers))
    return tuple(f"{one}{other or ''}" for one, other in zip(decoded, written, strict=True))
