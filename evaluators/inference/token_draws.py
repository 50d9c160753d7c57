"""Token draws: the next tokens of rows that are sampled, each from random numbers of its own.

The distribution is that of transformers' `generate` with the same options.  What a row draws is a
function of (seed, the prompt's tokens, the number of the draw) and the logits alone: which prompts are
continued beside it, in which order and on which worker, changes nothing.

Shapes: n rows, V vocabulary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    PreTrainedModel,
    TemperatureLogitsWarper,
    TopHLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from evaluators.inference.prompts import Prompt


def _is_share(value: float) -> bool:
    return 0.0 < value < 1.0


_Matters = Callable[[Any], bool]
_Build = Callable[[Any, Any], LogitsProcessor]  # from a value and a device
# In transformers' order: option, its value where neither task nor network says one, whether a value changes
# anything, and what does it.
_WARPERS: tuple[tuple[str, float | None, _Matters, _Build], ...] = (
    ("temperature", None, lambda value: value != 1.0, lambda value, _: TemperatureLogitsWarper(float(value))),
    ("top_h", None, lambda _: True, lambda value, _: TopHLogitsWarper(top_h=value)),
    ("top_k", 50, lambda value: value != 0, lambda value, _: TopKLogitsWarper(top_k=value)),
    ("top_p", None, lambda value: value < 1.0, lambda value, _: TopPLogitsWarper(top_p=float(value))),
    ("min_p", None, lambda _: True, lambda value, _: MinPLogitsWarper(min_p=value)),
    ("typical_p", None, lambda value: value < 1.0, lambda value, _: TypicalLogitsWarper(mass=value)),
    ("epsilon_cutoff", None, _is_share, lambda value, _: EpsilonLogitsWarper(value)),
    ("eta_cutoff", None, _is_share, lambda value, device: EtaLogitsWarper(value, device=device)),
)  # fmt: skip
WARPING = frozenset(name for name, *_ in _WARPERS)
"""Options that change what is drawn from, and never the likeliest token."""


def warpers_of(network: PreTrainedModel, options: Mapping[str, Any]) -> LogitsProcessorList:
    """Returns what turns logits into those that tokens are drawn from.

    Args:
        network: Its generation configuration says what the options leave out.
        options: Arguments of `generate`.
    """
    found = LogitsProcessorList()
    for name, default, matters, build in _WARPERS:
        given = options.get(name)
        value = getattr(network.generation_config, name, None) if given is None else given
        value = default if value is None else value
        if value is not None and matters(value):
            found.append(build(value, network.device))
    return found


class TokenDraws:
    """What the prompts of one run draw, those among them that are sampled.

    Args:
        network: Whose tokens are drawn.
        prompts: By their numbers.
    """

    def __init__(self, network: PreTrainedModel, prompts: Mapping[int, Prompt]) -> None:
        self._streams = {n: _stream(prompt) for n, prompt in prompts.items() if prompt.settings.samples}
        self._kinds = {n: repr(sorted(prompts[n].settings.options.items())) for n in self._streams}
        examples = {kind: prompts[n].settings.options for n, kind in self._kinds.items()}
        self._warpers = {kind: warpers_of(network, options) for kind, options in examples.items()}

    def replace(self, likeliest_n: Tensor, logits_nV: Tensor, numbers: Sequence[int]) -> Tensor:  # noqa: N803 - a shape
        """Returns the next tokens: drawn ones where the prompt is sampled, the likeliest elsewhere.

        Args:
            likeliest_n: Per row.
            logits_nV: Finite.
            numbers: Of the rows' prompts.
        """
        rows: dict[str, list[int]] = {}
        for row, number in enumerate(numbers):
            if number in self._streams:
                rows.setdefault(self._kinds[number], []).append(row)
        for kind, chosen in rows.items():
            scores_nV = logits_nV[chosen].float()
            no_tokens: Any = torch.empty(len(chosen), 0, dtype=torch.long, device=scores_nV.device)
            scores_nV = self._warpers[kind](no_tokens, scores_nV)
            uniform = [self._streams[numbers[row]].random() for row in chosen]
            likeliest_n[chosen] = _at(scores_nV, uniform)
        return likeliest_n


class DrawnOnly(LogitsProcessor):
    """Leaves of each row's tokens the one that is drawn, so that taking the likeliest draws."""

    def __init__(self, draws: TokenDraws, numbers: Sequence[int]) -> None:
        self._draws, self._numbers = draws, numbers

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002 - transformers'
        """Returns scores (n x V) with one finite entry per row."""
        tokens_n = self._draws.replace(scores.argmax(dim=-1), scores, self._numbers)
        return torch.full_like(scores, -torch.inf).scatter(-1, tokens_n[:, None], 0.0)


def _at(scores_nV: Tensor, uniform: Sequence[float]) -> Tensor:  # noqa: N803 - a shape
    """Returns per row the token at which its distribution function passes a number of [0, 1)."""
    sums_nV = scores_nV.double().softmax(dim=-1).cumsum(dim=-1)
    wanted_n1 = torch.tensor(uniform, dtype=torch.float64, device=scores_nV.device)[:, None] * sums_nV[:, -1:]
    tokens_n = torch.searchsorted(sums_nV, wanted_n1, right=True)[:, 0]
    return tokens_n.clamp(max=scores_nV.shape[-1] - 1)


def _stream(prompt: Prompt) -> np.random.Generator:
    settings = prompt.settings
    content = repr((settings.seed, settings.draw, tuple(prompt.tokens))).encode()
    key = int.from_bytes(hashlib.sha256(content).digest()[:16], "big")
    return np.random.Generator(np.random.Philox(key=key))
