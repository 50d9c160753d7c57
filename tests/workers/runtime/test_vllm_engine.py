from __future__ import annotations

import dataclasses
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, LlamaConfig

from evaluators import Benchmark
from evaluators.inference.engines import answer_with
from evaluators.inference.language_model import InMemoryModel
from search_spaces import Recipe
from tests.evaluators.task_writing import GENERATION, three_splits, write_task
from tests.tiny_models import ARCHITECTURES, WORDS, tiny_tokenizer
from tests.workers.fake_vllm import Calls, fake_library
from tests.workers.recipes import exploding_recipe, linear_recipe, parent_at, stacking_recipe
from workers.errors import EngineError, PreparationError
from workers.protocol.messages import Assignment, Failed, Outcome, Scored, Workload
from workers.runtime import vllm_library
from workers.runtime.pipeline import Pipeline
from workers.runtime.vllm_engine import VllmEngine, checkpoint_weights
from workers.runtime.vllm_library import load_vllm

ON_A_GPU = torch.cuda.is_available() and find_spec("vllm") is not None
ROUND = ["start", "update", "finish", "reset", "generate"]
STOPS = {"until": ["w7", "w20"], "max_gen_toks": 8, "do_sample": False}


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def generating(tmp_path: Path, tiny_parents: dict[str, Path]) -> Workload:
    """The tiny parents, and a benchmark that they answer in words."""
    write_task(tmp_path / "tasks", "says", three_splits(), **GENERATION)
    benchmark = Benchmark(
        name="says", task="says", metric="exact_match,number", include_path=str(tmp_path / "tasks")
    )
    parents = tuple(parent_at(folder) for folder in tiny_parents.values())
    return Workload(uuid4(), parents, (benchmark,), device="cpu", batch_size=8, count=1)


@pytest.fixture
def pipeline(generating: Workload, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setattr("workers.runtime.preparation.load_vllm", lambda device: fake_library(calls))
    return Pipeline(dataclasses.replace(generating, backend="vllm"))


def ask(pipeline: Pipeline, recipe: Recipe) -> Outcome:
    return pipeline.run(Assignment(uuid4(), 0, recipe))


def network_of(seed: int, architecture: str = "llama", *, spread: float = 0.3) -> Any:
    torch.manual_seed(seed)
    network = AutoModelForCausalLM.from_config(ARCHITECTURES[architecture]).float().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * spread)
    return network


def texts(network: Any, settings: dict[str, Any] | None = None) -> list[str]:
    model = InMemoryModel(network, tiny_tokenizer(), batch_size=4)
    prompts = [(f"w{n} w{n * 3 % 28} w{n * 5 % 28}", settings or STOPS) for n in range(12)]
    return model.plan_generations(prompts).answers(network)


def told(engine: VllmEngine, network: Any, scales: tuple[float, ...] = ()) -> Any:
    engine.renew(network, tiny_tokenizer(), scales)
    answer_with(network, engine)
    return network


def test_every_candidate_is_answered_with_its_own_weights(
    pipeline: Pipeline, generating: Workload, calls: Calls, tiny_parents: dict[str, Path]
) -> None:
    folders = [tiny_parents["left"], tiny_parents["right"]]
    recipes = [linear_recipe(folders, weights) for weights in ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5))]
    plain = Pipeline(generating)
    for recipe in recipes:
        by_engine, by_network = ask(pipeline, recipe), ask(plain, recipe)
        assert isinstance(by_engine, Scored), by_engine
        assert isinstance(by_network, Scored)
        assert by_engine.scores[0].per_item == by_network.scores[0].per_item
        assert by_engine.scores[0].item_set != by_network.scores[0].item_set
    assert calls.names == ["LLM", "init", *ROUND * 3]


def test_the_prefixes_of_one_candidate_never_answer_for_the_next(calls: Calls) -> None:
    network, others = network_of(1), network_of(2)
    first, second = texts(network), texts(others)
    assert first != second
    told(engine := VllmEngine(fake_library(calls)), network)
    assert texts(network) == first
    network.load_state_dict(others.state_dict())
    told(engine, network)
    assert texts(network) == second


def test_weights_are_sent_once_per_candidate_and_under_their_checkpoints_names(calls: Calls) -> None:
    network = told(VllmEngine(fake_library(calls)), network_of(1))
    assert texts(network) == texts(network)
    assert calls.names == ["LLM", "init", *ROUND, "generate"]
    assert calls.sent == [{name: list(weight.shape) for name, weight in network.state_dict().items()}]


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "mixtral", "qwen3_moe", "gpt2"])
def test_what_is_sent_is_what_a_checkpoint_holds(architecture: str, tmp_path: Path) -> None:
    network = network_of(3, architecture)
    network.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    sent = dict(checkpoint_weights(network))
    assert sent.keys() == saved.keys()
    assert all(torch.equal(sent[name], saved[name]) for name in saved)


def test_nothing_is_started_for_benchmarks_without_generation(
    workload: Workload, calls: Calls, monkeypatch: pytest.MonkeyPatch, tiny_parents: dict[str, Path]
) -> None:
    monkeypatch.setattr("workers.runtime.preparation.load_vllm", lambda device: fake_library(calls))
    pipeline = Pipeline(dataclasses.replace(workload, backend="vllm"))
    assert isinstance(ask(pipeline, linear_recipe([tiny_parents["left"]], (1.0,))), Scored)
    assert calls.names == []


def test_answers_that_are_sampled_come_from_the_network(calls: Calls) -> None:
    sampled = {"do_sample": True, "temperature": 1.0, "max_gen_toks": 5}
    expected = texts(network_of(1), sampled)
    assert texts(told(VllmEngine(fake_library(calls)), network_of(1)), sampled) == expected
    assert calls.names == []


def test_a_model_of_another_depth_is_refused_and_the_next_is_scored(
    pipeline: Pipeline, tiny_parents: dict[str, Path]
) -> None:
    left, right = tiny_parents["left"], tiny_parents["right"]
    average = linear_recipe([left, right], (0.5, 0.5))
    before = ask(pipeline, average)
    deeper = ask(pipeline, stacking_recipe((left, 0), (right, 1), (right, 1)))
    assert isinstance(deeper, Failed)
    assert (deeper.failure.code, deeper.failure.retryable) == ("engine_failed", False)
    assert "num_hidden_layers" in deeper.failure.cause
    assert "started with 2, this model has 3" in deeper.failure.cause
    assert "no stacking" in deeper.failure.remedy
    after = ask(pipeline, average)
    assert isinstance(before, Scored)
    assert isinstance(after, Scored)
    assert after.scores == before.scores


def test_scaled_layers_are_refused(calls: Calls) -> None:
    network = told(VllmEngine(fake_library(calls)), network_of(1), (1.0, 0.7))
    with pytest.raises(EngineError, match="multiply the inputs"):
        texts(network)
    assert calls.names == []


def test_a_model_without_sound_logits_has_a_bad_score(
    pipeline: Pipeline, tiny_parents: dict[str, Path]
) -> None:
    outcome = ask(pipeline, exploding_recipe(tiny_parents["left"]))
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "bad_score"


@pytest.mark.parametrize("step", ["LLM", "update", "finish", "emptying", "generate"])
def test_an_engine_that_failed_is_started_anew(step: str, calls: Calls) -> None:
    expected = texts(network_of(1))
    network = told(VllmEngine(fake_library(calls)), network_of(1))
    calls.fails_at = step
    with pytest.raises(EngineError):
        texts(network)
    calls.fails_at, calls.names = "", []
    assert texts(network) == expected
    assert calls.names == ["LLM", "init", *ROUND]


def test_without_vllm_the_worker_says_how_to_install_it(
    generating: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(vllm_library, "version", nowhere)
    with pytest.raises(PreparationError, match="not installed") as caught:
        Pipeline(dataclasses.replace(generating, backend="vllm"))
    assert "install" in caught.value.remedy


def test_another_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_library, "version", lambda name: "0.29.0")
    with pytest.raises(PreparationError, match=r"0\.29\.0"):
        load_vllm("cuda")


def test_without_a_gpu_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_library, "version", lambda name: "0.33.0")
    with pytest.raises(PreparationError, match="this worker is on cpu"):
        load_vllm("cpu")


@pytest.mark.skipif(not ON_A_GPU, reason="needs a CUDA device and vLLM 0.33")
@pytest.mark.slow
def test_on_a_gpu_the_engine_says_what_the_network_says() -> None:
    shape = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=256, intermediate_size=512, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    networks = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        networks.append(AutoModelForCausalLM.from_config(shape, dtype=torch.float32).cuda().eval())
    expected = [texts(network) for network in networks]
    assert expected[0] != expected[1]
    engine = VllmEngine(load_vllm("cuda"))
    live = networks[0]
    try:
        assert texts(told(engine, live)) == expected[0]
        live.load_state_dict(networks[1].state_dict())
        assert texts(told(engine, live)) == expected[1]
    finally:
        engine.close()
