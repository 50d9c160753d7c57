"""Log-likelihoods of continuations: planned once per tokenizer, then scored for every candidate.

A plan holds token ids and positions only, never a result, so that weights which were overwritten
in place are always asked anew.

Shapes: T scored tokens, U scored nodes of a pass, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from evaluators.errors import BadScoreError, EvaluationError
from evaluators.inference.first_layers.kept_states import KeptStates
from evaluators.inference.memory import run_unless_out_of_memory
from evaluators.inference.packed_weights import packed_weights
from evaluators.inference.shared_prefixes.passes import (
    Pass,
    Runs,
    build_pass,
    judge,
    leads,
    read_beginning,
)
from evaluators.inference.shared_prefixes.prefix_cache import Beginning
from evaluators.inference.shared_prefixes.sharing import Sharing
from evaluators.inference.shared_prefixes.token_tree import Section, Tokens, Tree, arrange, lone_rows

_Question = Callable[[PreTrainedModel, Pass, Beginning | None], Tensor]
"""From a network, a pass and what was read before it to rows of T."""

# Float32 logits of one batch: 1 GiB.  Long texts with large vocabularies get smaller batches.
_MOST_LOGITS = 1 << 28
# Tokens attended to in one pass, per token read: keys of a long beginning are copied for every row.
_MOST_ATTENDED = 8
# Tokens read in the time that one more pass takes, where the network does not say.
_LAUNCH = 32


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

    def lost(self, max_length: int) -> int:
        """Returns how many tokens of the context do not fit."""
        return max(len(self.context) + len(self.tokens) - (max_length + 1), 0)


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a batch: the network's reading length and vocabulary, and the rows wanted.

    Attributes:
        sharing: How rows may share their beginnings; or why each is read alone.
    """

    max_length: int
    vocabulary: int
    batch_size: int
    sharing: Sharing | str = "no network was named"


@dataclass(frozen=True, slots=True)
class Judged:
    """What a network finds of continuations, in their order.

    Attributes:
        totals: Their log-likelihoods, in float64.
        greedy: Whether greedy decoding gives them.
    """

    totals: NDArray[np.float64]
    greedy: NDArray[np.bool_]

    def pairs(self) -> list[tuple[float, bool]]:
        """Returns them as lm-eval wants them."""
        return list(zip(self.totals.tolist(), self.greedy.tolist(), strict=True))


class ContinuationPlan:
    """The passes that score a fixed list of continuations.

    What several continuations have in common (a question before its choices, the few-shot header of a
    task) is read once, and logits are computed only at positions where something is scored.  A pass
    holds as many tokens as `batch_size` of the longest rows would, or as fit the memory.

    Attributes:
        why_alone: Why rows share no beginnings; None if they do.
        lost: Per continuation, how many tokens of its context did not fit the network.
        longest: Tokens of the longest continuation.
    """

    def __init__(
        self,
        continuations: Sequence[Continuation],
        *,
        limits: Limits,
        device: torch.device | str = "cpu",
        room: int | None = None,
    ) -> None:
        """Arranges and lays out.

        Args:
            continuations: What is scored.
            limits: Of the network.
            device: Where it lies.
            room: Tokens of one pass that fit the memory; None where that is not known.
        """
        asked_by: dict[Tokens, list[int]] = {}
        for number, continuation in enumerate(continuations):
            asked_by.setdefault(continuation.row(limits.max_length), []).append(number)
        rows, self._asked = list(asked_by), list(asked_by.values())
        self._runs: list[Runs] = [[continuations[n].tokens for n in asked] for asked in self._asked]
        self.lost = tuple(one.lost(limits.max_length) for one in continuations)
        self.longest = max((len(one.tokens) for one in continuations), default=0)
        longest = max(map(len, rows), default=0)
        self._budget = _Budget(limits, min(limits.batch_size * longest, room or 1 << 62))
        self.why_alone, section = _arranged(rows, self._runs, limits, self._budget.tokens)
        self.tokens_read = section.nodes
        self._stage = self._staged(section, device)
        self._kept = self._kept_states()
        order = [
            n for batch in self.batches for tree in batch.trees for row in tree.rows for n in self._asked[row]
        ]
        self._places = np.argsort(np.array(order, dtype=np.int64), kind="stable")
        lengths = np.array([len(continuations[number].tokens) for number in order], dtype=np.int64)
        self._starts = np.cumsum(lengths) - lengths

    @property
    def batches(self) -> list[Pass]:
        """All passes in the order in which they run, those that only read a beginning left out."""
        return [batch for stage in self._stage for batch in stage.passes]

    def answers(self, network: PreTrainedModel) -> list[tuple[float, bool]]:
        """Returns each continuation's log-likelihood, and whether greedy decoding gives it.

        Raises:
            BadScoreError: A log-likelihood is NaN.
            EvaluationError: Not even a single row fits the memory.
        """
        return self.judged(network).pairs()

    def judged(self, network: PreTrainedModel) -> Judged:
        """Returns the same as arrays.

        Raises:
            BadScoreError: A log-likelihood is NaN.
            EvaluationError: Not even a single row fits the memory.
        """
        if not self.batches:
            return Judged(np.zeros(0), np.zeros(0, dtype=bool))
        logprobs_T, greedy_T = self._asked_of(network, judge)
        totals = np.add.reduceat(logprobs_T, self._starts)[self._places]
        exact = np.minimum.reduceat(greedy_T, self._starts)[self._places] > 0
        if broken := int(np.isnan(totals).sum()):
            raise BadScoreError(
                "log-likelihood",
                f"{broken} of {len(totals)} log-likelihoods are NaN",
                "the merged weights are probably broken: look at the recipe",
            )
        return Judged(totals, exact)

    def least_leads(self, network: PreTrainedModel) -> NDArray[np.float64]:
        """Returns, per continuation, the least lead of any of its tokens over all others, in nats.

        Positive where greedy decoding gives it; NaN where the network's logits are.

        Raises:
            EvaluationError: Not even a single row fits the memory.
        """
        if not self.batches:
            return np.zeros(0)
        (leads_T,) = self._asked_of(network, leads)
        return np.asarray(np.minimum.reduceat(leads_T, self._starts)[self._places])

    def _asked_of(self, network: PreTrainedModel, question: _Question) -> NDArray[np.float64]:
        with torch.inference_mode(), packed_weights(network, self.tokens_read):
            found = self._all_passed(network, question)
            return np.asarray(torch.cat(found, dim=1).cpu().double().numpy())  # the only device sync

    def _staged(self, section: Section, device: torch.device | str) -> _Stage:
        beginning = torch.tensor([section.tokens], device=device) if section.tokens else None
        stage = _Stage(beginning, section.depth)
        for trees in self._budget.batches(section, self._runs):
            stage.passes.append(build_pass(trees, self._runs, section.depth, device))
        stage.stages.extend(self._staged(below, device) for below in section.sections)
        return stage

    def _kept_states(self) -> KeptStates:
        """Returns a place for what first layers give; nothing is kept of rows that are read alone."""
        read = [tokens for one in self._stage for tokens in one.reads] if self.why_alone is None else []
        distinct = torch.unique(torch.cat([tokens.flatten() for tokens in read])) if read else torch.zeros(0)
        return KeptStates(distinct, sum(tokens.numel() for tokens in read))

    def _all_passed(self, network: PreTrainedModel, question: _Question) -> list[Tensor]:
        while True:
            try:
                with self._kept.used(network):
                    return list(self._passed(network, self._stage, None, question))
            except _HalvedError:
                self._kept = self._kept_states()

    def _passed(
        self, network: PreTrainedModel, stage: _Stage, before: Beginning | None, question: _Question
    ) -> Iterator[Tensor]:
        if stage.beginning is not None:
            before = run_unless_out_of_memory(
                partial(read_beginning, network, stage.beginning, before), rows=1
            )
        number = 0
        while number < len(stage.passes):
            batch = stage.passes[number]
            found = run_unless_out_of_memory(partial(question, network, batch, before), rows=len(batch.trees))
            if found is None:  # no memory: from now on two halves take this pass's place
                stage.passes[number : number + 1] = self._halves(batch, stage.depth)
                if not self._kept.run.is_plain:
                    raise _HalvedError
                continue
            yield found
            number += 1
        for below in stage.stages:
            yield from self._passed(network, below, before, question)

    def _halves(self, batch: Pass, depth: int) -> list[Pass]:
        middle = len(batch.trees) // 2
        halves = batch.trees[:middle], batch.trees[middle:]
        return [build_pass(trees, self._runs, depth, batch.inputs.device) for trees in halves]


class _HalvedError(Exception):
    """A pass is two now, so that what was kept of it is of no more use."""


@dataclass(slots=True)
class _Stage:
    """A section, laid out: its own beginning (1 x n), the passes that follow it, and the stages below."""

    beginning: Tensor | None
    depth: int
    passes: list[Pass] = field(default_factory=list)
    stages: list[_Stage] = field(default_factory=list)

    @property
    def reads(self) -> list[Tensor]:
        """What is read here, stages below left out."""
        beginning = [] if self.beginning is None else [self.beginning]
        return [*beginning, *(batch.inputs for batch in self.passes)]

    def __iter__(self) -> Iterator[_Stage]:
        yield self
        for stage in self.stages:
            yield from stage


@dataclass(frozen=True, slots=True)
class _Budget:
    """What one pass may hold."""

    limits: Limits
    tokens: int

    def batches(self, section: Section, runs: Sequence[Runs]) -> list[list[Tree]]:
        """Cuts a section's trees into passes, largest first, so that memory runs out at once or never.

        Of all ways to cut the sorted trees, the one that costs least in padding and in passes.
        """
        trees = sorted(section.trees, key=lambda tree: (-len(tree.tokens), tree.tokens))
        scored = np.cumsum([0, *(sum(max(map(len, runs[row])) for row in tree.rows) for tree in trees)])
        costs, cuts = [0], [0]  # of the first n trees, and where their last pass begins
        for end in range(1, len(trees) + 1):
            best, cut = costs[end - 1] + self._launch + len(trees[end - 1].tokens), end - 1
            for first in range(end - 2, -1, -1):
                longest = len(trees[first].tokens)
                if not self._holds(end - first, longest, section.depth, int(scored[end] - scored[first])):
                    break
                cost = costs[first] + self._launch + (end - first) * longest
                if cost <= best:
                    best, cut = cost, first
            costs.append(best)
            cuts.append(cut)
        ends = [len(trees)]
        while ends[-1] > 0:
            ends.append(cuts[ends[-1]])
        return [trees[first:end] for first, end in pairwise(reversed(ends))]

    @property
    def _launch(self) -> int:
        sharing = self.limits.sharing
        return sharing.exchange.launch if isinstance(sharing, Sharing) else _LAUNCH

    def _holds(self, trees: int, longest: int, before: int, scored: int) -> bool:
        if isinstance(self.limits.sharing, str) and trees > self.limits.batch_size:
            return False
        return (
            trees * longest <= self.tokens
            and trees * (before + longest) <= _MOST_ATTENDED * self.tokens
            and scored * self.limits.vocabulary <= _MOST_LOGITS
        )


def _arranged(
    rows: Sequence[Tokens], runs: Sequence[Runs], limits: Limits, most: int
) -> tuple[str | None, Section]:
    """Returns why each row is read alone, if so, and how all are arranged."""
    sharing = limits.sharing
    longest = max(map(len, rows), default=0)
    if isinstance(sharing, Sharing) and sharing.window is not None and longest > sharing.window:
        sharing = f"rows of {longest} tokens are longer than the sliding window of {sharing.window}"
    if isinstance(sharing, str):
        return sharing, lone_rows(rows)
    starts = [len(row) - max(map(len, of_row)) for row, of_row in zip(rows, runs, strict=True)]
    return None, arrange(rows, starts, sharing.exchange, most)
