"""Layers that a candidate shares with those before it are run once, and no score changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
import torch

from evaluators.inference import continuations
from evaluators.inference.first_layers.identity import layers_of
from evaluators.inference.language_model import InMemoryModel
from evaluators.inference.shared_prefixes import passes
from tests.evaluators.inference.windows import wide
from tests.tiny_models import ARCHITECTURES

WINDOWED = {"gemma2", "gemma3"}  # their tiny windows hold 8 tokens
MakeNetwork = Callable[..., Any]


def words(rng: Random, count: int) -> str:
    return " ".join(f"w{rng.randrange(20)}" for _ in range(count))


def pairs(questions: int = 40) -> list[tuple[str, str]]:
    """Questions after two headers, with choices of one to four words."""
    rng = Random(0)
    headers = [words(rng, 24), words(rng, 30)]
    asked = []
    for number in range(questions):
        context = f"{headers[number % 2]} {words(rng, 4 + number % 5)}"
        asked += [(context, " " + words(rng, 1 + choice)) for choice in range(4)]
    return asked


@torch.no_grad()
def change(part: Any, seed: int) -> None:
    """Has a part of a network be another candidate's."""
    torch.manual_seed(seed)
    for parameter in part.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)


@contextmanager
def runs_of(layer: Any) -> Iterator[list[int]]:
    """Counts how often a layer is run."""
    runs: list[int] = []
    first = next(layer.children())
    handle = first.register_forward_hook(lambda *_: runs.append(1))
    try:
        yield runs
    finally:
        handle.remove()


@dataclass(frozen=True)
class Scale:
    """What a stack hangs on a layer."""

    by: float

    def __call__(self, _: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (args[0] * self.by, *args[1:])


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_layer_that_stays_is_run_for_two_candidates_and_no_more(
    make_network: MakeNetwork, tokenizer: Any, architecture: str
) -> None:
    network = make_network(3, architecture)
    if architecture in WINDOWED:
        network = wide(network)
    first, last = layers_of(network)
    plan = InMemoryModel(network, tokenizer).plan_continuations(pairs())
    with runs_of(first) as runs, runs_of(last) as runs_of_last:
        counts = []
        for seed in range(5):
            change(last, seed)
            before = len(runs), len(runs_of_last)
            found = plan.answers(network)
            counts.append((len(runs) - before[0], len(runs_of_last) - before[1]))
            assert found == InMemoryModel(network, tokenizer).plan_continuations(pairs()).answers(network)
            runs[before[0] :], runs_of_last[before[1] :] = [], []
    passes = counts[0][1]
    assert passes > 1  # a beginning, and what follows it
    assert counts == [(passes, passes), (passes, passes), *[(0, passes)] * 3]


@torch.no_grad()
def flip_last_bit(network: Any) -> None:
    network.model.layers[0].mlp.down_proj.weight.view(torch.int32)[3, 4] ^= 1


CHANGES: dict[str, Callable[[Any], object]] = {
    "first layer": lambda network: change(network.model.layers[0], 7),
    "embedding": lambda network: change(network.get_input_embeddings(), 7),
    "scale": lambda network: network.model.layers[0].register_forward_pre_hook(Scale(0.5)),
    "last bit": flip_last_bit,
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_else_changes_is_seen(make_network: MakeNetwork, tokenizer: Any, what: str) -> None:
    network = make_network(3)
    first, last = layers_of(network)
    plan = InMemoryModel(network, tokenizer).plan_continuations(pairs())
    with runs_of(first) as runs:
        for seed in range(3):
            change(last, seed)
            runs.clear()
            plan.answers(network)
        assert not runs
        CHANGES[what](network)
        found = plan.answers(network)
        assert runs
    assert found == InMemoryModel(network, tokenizer).plan_continuations(pairs()).answers(network)


def test_embeddings_of_tokens_that_are_not_read_may_change(make_network: MakeNetwork, tokenizer: Any) -> None:
    network = make_network(3)
    first, _ = layers_of(network)
    plan = InMemoryModel(network, tokenizer).plan_continuations(pairs())
    unread = tokenizer.convert_tokens_to_ids("w25")
    with runs_of(first) as runs:
        for seed in range(4):
            with torch.no_grad():
                network.get_input_embeddings().weight[unread] = seed
            runs.clear()
            found = plan.answers(network)
    assert not runs
    assert found == InMemoryModel(network, tokenizer).plan_continuations(pairs()).answers(network)


def test_stacks_that_begin_with_equal_layers_share_them_whatever_their_depth(
    make_network: MakeNetwork, tokenizer: Any
) -> None:
    short, long = make_network(3), deepcopy(make_network(3))
    long.model.layers.append(make_network(4).model.layers[1])
    long.model.layers[2].self_attn.layer_idx = 2
    long.config.num_hidden_layers = 3
    plan = InMemoryModel(short, tokenizer).plan_continuations(pairs())
    with runs_of(long.model.layers[0]) as runs:
        plan.answers(long)
        short.model.layers[0] = long.model.layers[0]
        plan.answers(short)  # which notes what the two layers gave
        change(long.model.layers[2], 5)
        runs.clear()
        found = plan.answers(long)
    assert not runs
    assert found == InMemoryModel(long, tokenizer).plan_continuations(pairs()).answers(long)
    assert plan.answers(short) == InMemoryModel(short, tokenizer).plan_continuations(pairs()).answers(short)


def test_a_pass_that_no_longer_fits_is_asked_again_from_the_first_layer(
    make_network: MakeNetwork, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network(3)
    _, last = layers_of(network)
    plan = InMemoryModel(network, tokenizer).plan_continuations(pairs())
    for seed in range(3):
        change(last, seed)
        wanted = plan.answers(network)
    judge, tried = passes.judge, []

    def small_memory(network: Any, batch: Any, before: Any) -> Any:
        tried.append(len(batch.trees))
        if len(batch.trees) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return judge(network, batch, before)

    monkeypatch.setattr(continuations, "judge", small_memory)
    found = plan.answers(network)
    assert max(tried) > 4
    for (one, exact), (other, also) in zip(found, wanted, strict=True):
        assert one == pytest.approx(other, abs=1e-4)
        assert exact == also
