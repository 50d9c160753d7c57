"""Forward passes that judge tokens: built once per tokenizer, run for every candidate.

A pass reads trees (or plain rows), all after one shared beginning, and computes logits only at nodes
whose next token is asked about.

Shapes: B trees of a pass, L nodes of its largest, H tokens of the shared beginning, N = B x L, U scored
nodes, T judged tokens, V vocabulary, D hidden size, h key-value heads, d their size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from evaluators.inference.shared_prefixes.prefix_cache import Beginning, following
from evaluators.inference.shared_prefixes.token_tree import Tokens, Tree

_AT_ONCE = 16  # nodes whose logits are summed at once: they stay in the processor's cache

Runs = Sequence[Tokens]  # the answers that end one row, shifted by one


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass; a judged token belongs to the logits of its pair."""

    trees: tuple[Tree, ...]
    inputs: Tensor  # B x L, padded on the right
    depths: Tensor | None  # B x L; None for plain rows, which count for themselves
    sees: Tensor | None  # B x L x L; None for plain rows, which are causal
    scored: Tensor  # U, into N
    pairs: Tensor  # T, into `scored`
    tokens: Tensor  # T


def build_pass(trees: Sequence[Tree], runs: Sequence[Runs], depth: int, device: torch.device | str) -> Pass:
    """Lays out the trees of a pass.

    Args:
        trees: What is read; plain rows if none branches and nothing comes before.
        runs: By row number, the answers that end the row.
        depth: H.
        device: Where the network lies.
    """
    length = max(len(tree.tokens) for tree in trees)
    inputs_BL = np.zeros((len(trees), length), dtype=np.int64)
    depths_BL = np.zeros((len(trees), length), dtype=np.int64)
    plain = depth == 0 and all(tree.is_path for tree in trees)
    sees_BLL = None if plain else np.broadcast_to(np.eye(length, dtype=bool), (len(trees), length, length))
    sees_BLL = None if sees_BLL is None else sees_BLL.copy()
    for number, tree in enumerate(trees):
        size = len(tree.tokens)
        inputs_BL[number, :size] = tree.tokens
        depths_BL[number, :size] = tree.depths
        if sees_BLL is not None:
            sees_BLL[number, :size, :size] = tree.sees()
    scored_U, pairs_T, tokens_T = _scored(trees, runs, length)
    return Pass(
        tuple(trees),
        torch.from_numpy(inputs_BL).to(device),
        None if plain else torch.from_numpy(depths_BL).to(device),
        None if sees_BLL is None else torch.from_numpy(sees_BLL).to(device),
        *(torch.tensor(found, device=device) for found in (scored_U, pairs_T, tokens_T)),
    )


def _scored(trees: Sequence[Tree], runs: Sequence[Runs], length: int) -> tuple[list[int], ...]:
    """Returns the nodes whose logits are wanted, and per judged token its node's index and itself."""
    indices: dict[int, int] = {}
    pairs_T: list[int] = []
    tokens_T: list[int] = []
    for number, tree in enumerate(trees):
        for row, path in zip(tree.rows, tree.paths, strict=True):
            for run in runs[row]:
                for node, token in zip(path[len(path) - len(run) :], run, strict=True):
                    pairs_T.append(indices.setdefault(number * length + node, len(indices)))
                    tokens_T.append(token)
    return list(indices), pairs_T, tokens_T


def judge(network: PreTrainedModel, batch: Pass, before: Beginning | None = None) -> Tensor:
    """Returns two rows of T: log-probabilities in float32, and 1 where the token is the likeliest."""
    logits_UV = _logits(network, batch, before)
    wanted_T = logits_UV[batch.pairs, batch.tokens].float()
    rows = _AT_ONCE if logits_UV.device.type == "cpu" else max(len(logits_UV), 1)
    tops, sums = zip(*(_top_and_sum(some) for some in torch.split(logits_UV, rows)), strict=True)
    tops_U, sums_U = torch.cat(tops), torch.cat(sums)
    greedy_T = _is_first(logits_UV, batch, wanted_T == tops_U[batch.pairs])
    logprobs_T = wanted_T - tops_U[batch.pairs] - sums_U.log()[batch.pairs]
    return torch.stack((logprobs_T, greedy_T.float()))


def leads(network: PreTrainedModel, batch: Pass, before: Beginning | None = None) -> Tensor:
    """Returns a row of T: by how much each token is likelier than the likeliest other one, in nats."""
    logits_UV = _logits(network, batch, before).float()
    best_U2, places_U2 = logits_UV.topk(2, dim=-1)
    wanted_T = logits_UV[batch.pairs, batch.tokens]
    is_best_T = places_U2[batch.pairs, 0] == batch.tokens
    others_T = torch.where(is_best_T, best_U2[batch.pairs, 1], best_U2[batch.pairs, 0])
    return (wanted_T - others_T)[None]


def _top_and_sum(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Returns, for each of some nodes (u x V), the largest logit, and the sum of exp(logit - largest)."""
    tops_u = logits.amax(dim=-1).float()
    return tops_u, (logits - tops_u[:, None]).exp_().sum(dim=-1)


def _is_first(logits: Tensor, batch: Pass, largest: Tensor) -> Tensor:
    """Returns whether a judged token is the first of those with the largest logit, T.

    Args:
        logits: U x V.
        batch: What is judged.
        largest: Whether a judged token has the largest logit, T.
    """
    if logits.device.type != "cpu":  # to look at a few would wait for the device
        return logits.argmax(dim=-1)[batch.pairs] == batch.tokens
    first_T = largest.clone()
    first_T[largest] = logits[batch.pairs[largest]].argmax(dim=-1) == batch.tokens[largest]
    return first_T


def read_beginning(network: PreTrainedModel, tokens: Tensor, before: Beginning | None) -> Beginning:
    """Returns the keys and values of a beginning that follows another.

    Args:
        network: Who reads.
        tokens: 1 x n.
        before: What it has read so far.
    """
    known = 0 if before is None else before.length
    kept = DynamicCache()
    for layer, known_pair in enumerate(() if before is None else before.layers):
        if known_pair is not None:
            kept.update(*known_pair, layer)
    n = tokens.shape[1]
    sees = torch.ones(1, n, n, dtype=torch.bool, device=tokens.device).tril()
    network.base_model(
        tokens,
        attention_mask=additive_mask(sees, known, network.dtype),
        position_ids=torch.arange(known, known + n, device=tokens.device)[None],
        past_key_values=kept,
        use_cache=True,
    )
    layers: list[Any] = kept.layers  # of attention
    pairs = ((layer.keys, layer.values) if layer.is_initialized else None for layer in layers)
    return Beginning(tuple(pairs), known + n)


def _logits(network: PreTrainedModel, batch: Pass, before: Beginning | None) -> Tensor:
    """Returns the logits of the scored nodes, U x V."""
    options: dict[str, Any] = {}
    if batch.sees is not None:
        known = 0 if before is None else before.length
        options["attention_mask"] = additive_mask(batch.sees, known, network.dtype)
        options["position_ids"] = batch.depths
    if before is not None:
        options["past_key_values"] = following(before)
        options["use_cache"] = True
    elif "use_cache" in _parameters(network.__class__):  # type: ignore[arg-type]  # classes can be hashed
        options["use_cache"] = False
    with only_scored(network, batch.scored) as seen:
        logits: Tensor = network(batch.inputs, **options).logits
    return logits if seen else logits.flatten(0, 1)[batch.scored]


def additive_mask(sees: Tensor, known: int, dtype: torch.dtype) -> Tensor:
    """Returns what is added to attention scores, B x 1 x L x (H + L); the beginning is seen by all."""
    barred = torch.zeros(sees.shape, dtype=dtype, device=sees.device)
    barred.masked_fill_(~sees, torch.finfo(dtype).min)
    return nn.functional.pad(barred, (known, 0))[:, None]


@contextmanager
def only_scored(network: PreTrainedModel, scored: Tensor) -> Iterator[list[bool]]:
    """Has the network's head see scored nodes only; the list stays empty if it has no head of its own."""
    seen: list[bool] = []
    head = network.get_output_embeddings() if isinstance(network, PreTrainedModel) else None
    if head is None:
        yield seen
        return

    def choose(_: nn.Module, hidden: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        seen.append(True)
        return (hidden[0].flatten(0, 1)[scored], *hidden[1:])

    handle = head.register_forward_pre_hook(choose)
    try:
        yield seen
    finally:
        handle.remove()


@cache
def _parameters(network_type: type) -> frozenset[str]:
    return frozenset(signature(network_type.forward).parameters)  # type: ignore[attr-defined]
