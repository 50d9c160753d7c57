"""Log-likelihoods of continuations: planned once per tokenizer, then scored for every candidate.

A plan holds token ids and positions only, never a result, so that weights which were overwritten
in place are always asked anew.

Shapes: B rows of a batch, L their padded length, K positions whose logits are computed, U scored
(row, position) pairs, T scored tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from evaluators.errors import BadScoreError, EvaluationError

# Float32 logits of one batch: 1 GiB.  Long texts with large vocabularies get smaller batches.
_MOST_LOGITS = 1 << 28


@dataclass(frozen=True, slots=True)
class Continuation:
    """Token ids to be scored, and those that precede them."""

    context: tuple[int, ...]
    tokens: tuple[int, ...]

    def row(self, max_length: int) -> tuple[int, ...]:
        """Returns what the network reads: cut from the left, without the last token.

        Raises:
            EvaluationError: There is nothing to score, or more than the network can read.
        """
        if not self.context or not 0 < len(self.tokens) <= max_length:
            raise EvaluationError(
                "task",
                f"{len(self.tokens)} tokens to score after {len(self.context)} of context, where the model "
                f"reads {max_length}",
                "look for empty or overlong answers in the task's data",
            )
        return (self.context + self.tokens)[-(max_length + 1) : -1]


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a batch: the network's reading length and vocabulary, and the rows wanted."""

    max_length: int
    vocabulary: int
    batch_size: int


@dataclass(frozen=True, slots=True)
class _Batch:
    """One forward pass; a scored token is judged by the logits of its pair."""

    inputs: Tensor  # B x L, padded on the right
    kept: Tensor  # K positions
    rows: Tensor  # U
    columns: Tensor  # U, into `kept`
    pairs: Tensor  # T, into `rows` and `columns`
    tokens: Tensor  # T


class ContinuationPlan:
    """The batches that score a fixed list of continuations.

    Continuations that make the network read the same row (one-token choices of one question) share
    it, and logits are computed only at positions where something is scored.
    """

    def __init__(
        self, continuations: Sequence[Continuation], *, limits: Limits, device: torch.device | str = "cpu"
    ) -> None:
        asked_by: dict[tuple[int, ...], list[int]] = {}
        for number, continuation in enumerate(continuations):
            asked_by.setdefault(continuation.row(limits.max_length), []).append(number)
        self.batches: list[_Batch] = []
        order: list[int] = []  # the continuations as the batches meet them
        for rows in _batches(asked_by, continuations, limits):
            numbers = [asked_by[row] for row in rows]
            self.batches.append(
                _batch(rows, [[continuations[n].tokens for n in group] for group in numbers], device)
            )
            order.extend(number for group in numbers for number in group)
        self._places = np.argsort(np.array(order, dtype=np.int64), kind="stable")
        lengths = np.array([len(continuations[number].tokens) for number in order], dtype=np.int64)
        self._starts = np.cumsum(lengths) - lengths

    def answers(self, network: PreTrainedModel) -> list[tuple[float, bool]]:
        """Returns each continuation's log-likelihood, and whether greedy decoding gives it.

        Raises:
            BadScoreError: A log-likelihood is NaN.
        """
        if not self.batches:
            return []
        with torch.inference_mode():
            found = [_judge(network, batch) for batch in self.batches]
            logprobs_T, greedy_T = torch.cat(found, dim=1).cpu().double().numpy()  # the only device sync
        totals = np.add.reduceat(logprobs_T, self._starts)[self._places]
        exact = np.minimum.reduceat(greedy_T, self._starts)[self._places] > 0
        if broken := int(np.isnan(totals).sum()):
            raise BadScoreError(
                "log-likelihood",
                f"{broken} of {len(totals)} log-likelihoods are NaN",
                "the merged weights are probably broken: look at the recipe",
            )
        return list(zip(totals.tolist(), exact.tolist(), strict=True))


def _batches(
    asked_by: dict[tuple[int, ...], list[int]], continuations: Sequence[Continuation], limits: Limits
) -> Iterator[list[tuple[int, ...]]]:
    """Cuts the rows into batches, longest first, so that memory runs out at once or never."""
    batch: list[tuple[int, ...]] = []
    first = 0
    for row in sorted(asked_by, key=lambda row: (-len(row), row)):
        start = len(row) - max(len(continuations[number].tokens) for number in asked_by[row])
        longest, first = (len(batch[0]), min(first, start)) if batch else (len(row), start)
        logits = (len(batch) + 1) * (longest - first) * limits.vocabulary
        if batch and (len(batch) == limits.batch_size or logits > _MOST_LOGITS):
            yield batch
            batch, first = [], start
        batch.append(row)
    if batch:
        yield batch


def _batch(
    rows: list[tuple[int, ...]], answers: list[list[tuple[int, ...]]], device: torch.device | str
) -> _Batch:
    """Lays out a batch; `answers` are the token runs that end each row, shifted by one."""
    inputs_BL = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    pairs: dict[tuple[int, int], int] = {}
    pairs_T, tokens_T = [], []
    for number, (row, runs) in enumerate(zip(rows, answers, strict=True)):
        inputs_BL[number, : len(row)] = torch.tensor(row)
        for run in runs:
            for position, token in enumerate(run, start=len(row) - len(run)):
                pairs_T.append(pairs.setdefault((number, position), len(pairs)))
                tokens_T.append(token)
    kept = sorted({position for _, position in pairs})
    column_of = {position: column for column, position in enumerate(kept)}
    indices = (
        kept,
        [row for row, _ in pairs],
        [column_of[position] for _, position in pairs],
        pairs_T,
        tokens_T,
    )
    return _Batch(inputs_BL.to(device), *(torch.tensor(index, device=device) for index in indices))


def _judge(network: PreTrainedModel, batch: _Batch) -> Tensor:
    """Returns two rows of T: log-probabilities in float32, and 1 where the token is the likeliest."""
    knows = _parameters(network.__class__)
    options: dict[str, Any] = {"use_cache": False} if "use_cache" in knows else {}
    if "logits_to_keep" in knows:
        logits_BKV = network(batch.inputs, logits_to_keep=batch.kept, **options).logits
    else:
        logits_BKV = network(batch.inputs, **options).logits[:, batch.kept]
    logits_UV = logits_BKV[batch.rows, batch.columns].float()
    logprobs_T = logits_UV.log_softmax(dim=-1)[batch.pairs, batch.tokens]
    greedy_T = logits_UV.argmax(dim=-1)[batch.pairs] == batch.tokens
    return torch.stack((logprobs_T, greedy_T.float()))


@cache
def _parameters(network_type: type) -> frozenset[str]:
    return frozenset(signature(network_type.forward).parameters)  # type: ignore[attr-defined]
