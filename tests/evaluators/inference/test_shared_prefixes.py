"""Scores are lm-eval's where beginnings are read once, and where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM

from evaluators.errors import OutOfMemoryError
from evaluators.inference.language_model import InMemoryModel
from evaluators.inference.memory import tokens_that_fit
from evaluators.inference.shared_prefixes import passes
from tests.evaluators.inference.windows import wide
from tests.tiny_models import ARCHITECTURES

WINDOWED = {"gemma2", "gemma3"}  # their tiny windows hold 8 tokens


def words(rng: Random, count: int) -> str:
    return " ".join(f"w{rng.randrange(28)}" for _ in range(count))


def few_shot_pairs(questions: int = 12) -> list[tuple[str, str]]:
    """Two tasks with headers of their own, choices of one to four words, and a question that stands alone."""
    rng = Random(0)
    headers = [words(rng, 24), words(rng, 30)]
    pairs = []
    for number in range(questions):
        context = f"{headers[number % 2]} {words(rng, 4 + number % 5)}"
        pairs += [(context, " " + words(rng, 1 + choice)) for choice in range(4)]
    return [*pairs, ("w1", " w2 w3")]


def expected(network: Any, tokenizer: Any, pairs: list[tuple[str, str]]) -> list[tuple[float, bool]]:
    # In half precision lm-eval rounds the softmax as well, unless told otherwise.
    lm = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=4, softmax_dtype="float32")
    return list(lm.loglikelihood([SimpleNamespace(args=pair) for pair in pairs], disable_tqdm=True))


def assert_same(found: Any, wanted: Any, tolerance: float = 1e-4) -> None:
    np.testing.assert_allclose([one for one, _ in found], [one for one, _ in wanted], atol=tolerance)
    assert [exact for _, exact in found] == [exact for _, exact in wanted]


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_shared_beginnings_change_no_score(
    make_network: Callable[..., Any], tokenizer: Any, architecture: str
) -> None:
    network = make_network(2, architecture)
    if architecture in WINDOWED:
        network = wide(network)
    pairs = few_shot_pairs()
    plan = InMemoryModel(network, tokenizer).plan_continuations(pairs)
    assert plan.why_alone is None
    assert plan.tokens_read < sum(len(context.split()) for context, _ in pairs) / 3
    assert_same(plan.answers(network), expected(network, tokenizer, pairs))


@pytest.mark.parametrize("architecture", sorted(WINDOWED))
def test_rows_longer_than_a_sliding_window_are_read_alone(
    make_network: Callable[..., Any], tokenizer: Any, architecture: str
) -> None:
    network = make_network(2, architecture)
    plan = InMemoryModel(network, tokenizer).plan_continuations(few_shot_pairs())
    assert plan.why_alone is not None
    assert "longer than the sliding window of 8" in plan.why_alone
    assert_same(plan.answers(network), expected(network, tokenizer, few_shot_pairs()))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model_type": "unheard_of"}, "unheard_of is not known to read trees"),
        ({"_attn_implementation": "flash_attention_2"}, "takes no masks of its own"),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic depend on the batch"),
    ],
)
def test_networks_that_may_not_share_say_why(
    make_network: Callable[..., Any], tokenizer: Any, change: dict[str, Any], why: str
) -> None:
    network = make_network(2)
    network.config = deepcopy(network.config)
    for name, value in change.items():
        object.__setattr__(network.config, name, value)
    plan = InMemoryModel(network, tokenizer).plan_continuations(few_shot_pairs(2))
    assert plan.why_alone is not None
    assert why in plan.why_alone


def test_layers_that_write_into_one_place_of_the_cache_read_alone(
    make_network: Callable[..., Any], tokenizer: Any
) -> None:
    sound = make_network(2)
    network = deepcopy(sound)
    network.model.layers[1].self_attn.layer_idx = 0
    plan = InMemoryModel(network, tokenizer).plan_continuations(few_shot_pairs())
    assert plan.why_alone == "two layers write into place 0 of the key-value cache"
    assert_same(plan.answers(network), expected(sound, tokenizer, few_shot_pairs()))


def test_a_stack_that_repeats_a_layer_shares_correctly(
    make_network: Callable[..., Any], tokenizer: Any
) -> None:
    small = make_network(2)
    config = deepcopy(small.config)
    config.num_hidden_layers = 4
    network = AutoModelForCausalLM.from_config(config).float().eval()
    network.load_state_dict(small.state_dict(), strict=False)
    for number in (2, 3):  # the same memory, seen by layers with places of their own
        source = dict(small.model.layers[number - 2].named_parameters())
        for name, parameter in network.model.layers[number].named_parameters():
            parameter.data = source[name].data
    plan = InMemoryModel(network, tokenizer).plan_continuations(few_shot_pairs())
    assert plan.why_alone is None
    assert_same(plan.answers(network), expected(network, tokenizer, few_shot_pairs()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_scores_are_lm_evals(
    make_network: Callable[..., Any], tokenizer: Any, dtype: torch.dtype
) -> None:
    network = make_network(2).to(dtype)
    pairs = few_shot_pairs()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)
    found = InMemoryModel(network, tokenizer).plan_continuations(pairs).answers(network)
    theirs = expected(network, tokenizer, pairs)
    gaps = np.abs([one - other for (one, _), (other, _) in zip(found, theirs, strict=True)])
    lengths = [len(tokenizer.encode(answer, add_special_tokens=False)) for _, answer in pairs]
    assert (gaps / lengths).max() < 2e-2


def test_a_pass_that_does_not_fit_is_halved_for_good(
    make_network: Callable[..., Any], tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, pairs = make_network(2), few_shot_pairs()
    plan = InMemoryModel(network, tokenizer).plan_continuations(pairs)
    wanted, before, judge = plan.answers(network), len(plan.batches), passes.judge
    tried = []

    def small_memory(network: Any, batch: Any, before: Any) -> Any:
        tried.append(len(batch.trees))
        if len(batch.trees) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return judge(network, batch, before)

    monkeypatch.setattr("evaluators.inference.continuations.judge", small_memory)
    assert_same(plan.answers(network), wanted)
    assert max(len(batch.trees) for batch in plan.batches) == 2
    assert len(plan.batches) > before
    tried.clear()
    assert_same(plan.answers(network), wanted)
    assert max(tried) == 2  # the second candidate does not run into it again


def test_a_single_row_that_does_not_fit_fails_with_its_cause(
    make_network: Callable[..., Any], tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network(2)
    plan = InMemoryModel(network, tokenizer).plan_continuations(few_shot_pairs(4))

    def no_memory(*_: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr("evaluators.inference.continuations.judge", no_memory)
    with pytest.raises(OutOfMemoryError, match=r"one row alone does not fit.*tried to allocate 9 bytes"):
        plan.answers(network)


def test_what_a_pass_holds_follows_from_the_memory(network: Any) -> None:
    fitting = tokens_that_fit(network)
    assert fitting & (fitting - 1) == 0
    assert 256 <= fitting <= 2048


def test_tokens_that_do_not_fit_the_network_are_counted(network: Any, tokenizer: Any) -> None:
    long = " ".join(["w1"] * 100)
    plan = InMemoryModel(network, tokenizer).plan_continuations([("w1", " w2"), (long, " w2 w3")])
    assert plan.lost == (0, 37)
