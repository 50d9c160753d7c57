"""The benchmark on real weights: plain lm-eval is asked the very items that a search divides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM

from benchmarks.real.candidate_costs import size_of
from benchmarks.real.held_out import gains, mean_gain
from benchmarks.real.plain_items import PlainItems
from evaluators.benchmark import Benchmark
from evaluators.lm_eval.harness import Harness
from evaluators.splits import SPLITS, ItemShares, Split
from service.experiment.objectives import ObjectiveFacts
from tests.evaluators.task_writing import CHOICE, GENERATION, rows, three_splits, write_task
from tests.tiny_models import ARCHITECTURES, tiny_tokenizer


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(3)
    return AutoModelForCausalLM.from_config(ARCHITECTURES["llama"]).eval()


@pytest.mark.parametrize("split", SPLITS)
def test_plain_lm_eval_is_asked_a_splits_items(network: Any, tmp_path: Path, split: Split) -> None:
    write_task(tmp_path, "named", three_splits(), **CHOICE)
    write_task(tmp_path, "shared", {"train": rows(0, 90)}, **GENERATION)
    benchmarks = [
        Benchmark(name="named", task="named", include_path=str(tmp_path)),
        Benchmark(name="shared", task="shared", include_path=str(tmp_path), splits=ItemShares(seed=1)),
    ]
    tokenizer = tiny_tokenizer()
    with torch.inference_mode():
        ours = Harness(benchmarks).evaluate(network, tokenizer, split)
        lm = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=8)
        plain = PlainItems.of(benchmarks, instruct=False).answers(lm, split)
    for score in ours:
        assert sorted(plain[score.benchmark]) == pytest.approx(sorted(score.per_item))


def test_the_gain_is_the_weighted_mean_of_paired_gains() -> None:
    facts = [
        ObjectiveFacts(name=n, task=n, metric="m", higher_is_better=up, weight=w, items={}, overlap=None)
        for n, up, w in (("a", True, 3.0), ("b", False, 1.0))
    ]
    winner, usual = {"a": [1.0, 1.0, 0.0, 1.0], "b": [2.0, 2.0]}, {"a": [1.0, 0.0, 0.0, 1.0], "b": [3.0, 3.0]}
    tests = gains(winner, usual, facts)
    gain, stderr = mean_gain(tests, facts)
    assert gain == pytest.approx(0.75 * 0.25 + 0.25 * 1.0)
    assert stderr == pytest.approx(0.75 * tests["a"].stderr)


def test_a_networks_products_are_counted_without_its_embedding(network: Any) -> None:
    size = size_of(network)
    total = sum(weights.numel() for weights in network.parameters() if weights.dim() == 2)
    assert size.body + size.head + network.get_input_embeddings().weight.numel() == total


def test_layers_that_candidates_share_are_left_out_of_their_products(network: Any) -> None:
    size, rest = size_of(network), size_of(network, shared_layers=1)
    assert (rest.body, rest.head) == (size.body / 2, size.head)  # it has two layers
