"""Weights that are laid out for matrix products give the same answers, and are gone afterwards."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from torch import nn

from evaluators.inference.packed_weights import can_pack, packed_weights
from evaluators.lm_eval.model import EvomergeLM

TOKENS = torch.tensor([[5, 9, 14, 3, 22, 17, 8, 30, 11, 6, 27, 19]])
MANY = 100_000
pytestmark = pytest.mark.skipif(not can_pack(), reason="this torch comes without oneDNN")


def altered(network: Any) -> list[nn.Linear]:
    return [one for one in network.modules() if isinstance(one, nn.Linear) and "forward" in vars(one)]


@torch.inference_mode()
def logits(network: Any) -> torch.Tensor:
    return torch.as_tensor(network(TOKENS).logits).clone()


def prompts(count: int) -> list[Instance]:
    settings = {"until": ["w7", "w20"], "max_gen_toks": 12, "do_sample": False}
    texts = [
        " ".join(f"w{n * k * k % 28 if k else n // 28 % 28}" for k in range(5 + n % 9)) for n in range(count)
    ]
    return [Instance("generate_until", {}, (text, settings), n) for n, text in enumerate(texts)]


def choices(count: int) -> list[Instance]:
    pairs = [(prompt.args[0], f" w{n % 28} w{n // 28}") for n, prompt in enumerate(prompts(count))]
    return [Instance("loglikelihood", {}, pair, n) for n, pair in enumerate(pairs)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_are_the_plain_ones(make_network: Callable[..., Any], dtype: torch.dtype) -> None:
    network = make_network(0).to(dtype)
    plain = logits(network)
    with packed_weights(network, MANY):
        assert len(altered(network)) == 15 or dtype != torch.float32
        found = logits(network)
    torch.testing.assert_close(found, plain)
    assert not altered(network)
    assert logits(network).equal(plain)


def test_each_asking_lays_out_the_weights_of_now(make_network: Callable[..., Any]) -> None:
    network, other = make_network(0), make_network(1)
    with packed_weights(network, MANY):
        before = logits(network)
    with torch.no_grad():
        for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
            mine.copy_(theirs)
    with packed_weights(network, MANY):
        after = logits(network)
    torch.testing.assert_close(after, logits(other))
    assert not torch.allclose(before, after)


def test_answers_are_those_of_lm_evals_own_model(make_network: Callable[..., Any], tokenizer: Any) -> None:
    seen = set()
    for network in map(make_network, (3, 4)):
        ours = EvomergeLM(network, tokenizer, batch_size=16)
        theirs = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=16)
        texts = ours.generate_until(prompts(90))
        assert texts == theirs.generate_until(prompts(90), disable_tqdm=True)
        pairs = zip(ours.loglikelihood(choices(400)), theirs.loglikelihood(choices(400)), strict=True)
        for (one, greedy), (other, also) in pairs:
            assert one == pytest.approx(other, abs=1e-4)
            assert greedy == also
        seen |= set(texts)
    assert len(seen) > 40


def test_answering_long_lists_uses_them(
    make_network: Callable[..., Any], tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, used = make_network(3), []
    plain = network.model.forward

    def listening(*arguments: Any, **options: Any) -> Any:
        used.append(len(altered(network)))
        return plain(*arguments, **options)

    monkeypatch.setattr(network.model, "forward", listening)
    ours = EvomergeLM(network, tokenizer, batch_size=16)
    for ask, few, many in (
        (ours.generate_until, prompts(4), prompts(90)),
        (ours.loglikelihood, choices(4), choices(400)),
    ):
        for requests, expected in ((few, {0}), (many, {15})):
            used.clear()
            ask(requests)
            assert set(used) == expected


def test_what_goes_wrong_leaves_no_layer_altered(make_network: Callable[..., Any]) -> None:
    network = make_network(0)
    with pytest.raises(KeyError), packed_weights(network, MANY):
        raise KeyError
    assert not altered(network)


def test_layers_that_are_no_plain_ones_are_left_alone(make_network: Callable[..., Any]) -> None:
    network = make_network(0)
    layer = network.model.layers[0].mlp.up_proj
    own = layer.forward
    layer.forward = lambda rows: own(rows)
    with packed_weights(network, MANY):
        assert len(altered(network)) == 15
        logits(network)
    assert altered(network) == [layer]
    with packed_weights(network.double(), MANY):
        assert altered(network) == [layer]


def test_weights_are_not_copied_where_memory_is_short(
    make_network: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network(0)
    monkeypatch.setattr("evaluators.inference.memory._free", lambda _: 10_000)
    with packed_weights(network, MANY):
        assert not altered(network)


def test_a_torch_without_onednn_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    with caplog.at_level(logging.INFO):
        assert not can_pack.__wrapped__()
    assert "oneDNN" in caplog.text
