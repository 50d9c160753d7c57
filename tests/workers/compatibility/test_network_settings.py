"""Settings of the network that parents have otherwise are told, and refused where they make another one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from transformers import GraniteConfig

from search_spaces import Parent
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from tests.tiny_models import ARCHITECTURES, save_tiny_model
from tests.workers.checkpoints.test_adapters import factors, lora, save_adapter
from workers.checkpoints.inspection import inspect_checkpoint
from workers.compatibility import network_settings
from workers.compatibility.network_settings import differences
from workers.compatibility.preflight import Preflight, preflight_models, preflight_recipe
from workers.compatibility.transformers_settings import settings_of


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads configurations here, where transformers is loaded already."""
    monkeypatch.setattr(
        network_settings, "as_transformers_reads", lambda configs: [settings_of(each) for each in configs]
    )


def pair(tmp_path: Path, architecture: Any = "llama", without: Any = (), **changes: Any) -> Preflight:
    """Returns what is said of a recipe of two models, the second with another config.json."""
    first = save_tiny_model(tmp_path / "first", 0, architecture=architecture)
    second = Path(shutil.copytree(first, tmp_path / "second"))
    config = json.loads((second / "config.json").read_text())
    kept = {key: value for key, value in config.items() if key not in without}
    (second / "config.json").write_text(json.dumps(kept | changes))
    models = [{"model": str(folder), "parameters": {"weight": 0.5}} for folder in (first, second)]
    return preflight_recipe(read_recipe(json.dumps({"merge_method": "linear", "models": models})))


def told(found: Preflight) -> list[str]:
    """Returns the settings that are told, without what is said of equal weights."""
    return sorted(
        {w.detail.split(" (")[0].split(" are ")[0] for w in found.warnings if "sampled" not in w.detail}
    )


TOLD: Mapping[str, tuple[str, dict[str, Any]]] = {
    "hidden_act": ("llama", {"hidden_act": "gelu"}),
    "rms_norm_eps": ("llama", {"rms_norm_eps": 1e-5}),
    "attn_logit_softcapping": ("gemma2", {"attn_logit_softcapping": 30.0}),
    "final_logit_softcapping": ("gemma2", {"final_logit_softcapping": None}),
    "query_pre_attn_scalar": ("gemma2", {"query_pre_attn_scalar": 144}),
    "num_experts_per_tok": ("mixtral", {"num_experts_per_tok": 1}),
    "norm_topk_prob": ("qwen3_moe", {"norm_topk_prob": True}),
    "sliding_window": ("mistral", {"sliding_window": 16}),
    "layer_types": ("gemma2", {"layer_types": ["full_attention", "full_attention"]}),
    "layer_norm_epsilon": ("gpt2", {"layer_norm_epsilon": 1e-3}),
    "rotary positions": ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
}


@pytest.mark.parametrize("key", TOLD)
def test_a_setting_that_changes_what_is_computed_is_told_with_whose_is_used(key: str, tmp_path: Path) -> None:
    architecture, changes = TOLD[key]
    found = pair(tmp_path, architecture, **changes)
    assert not found.refusals
    assert told(found) == [key]
    (warning,) = (each for each in found.warnings if each.detail.startswith(key))
    assert Path(warning.field).name == "second"
    assert f"computes with that of {tmp_path / 'first'}" in warning.remedy


@pytest.mark.parametrize("key", ["embedding_multiplier", "residual_multiplier", "logits_scaling"])
def test_factors_that_are_settings_are_told(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    granite = GraniteConfig(**{k: v for k, v in ARCHITECTURES["llama"].to_dict().items() if k in _SHARED})
    monkeypatch.setitem(ARCHITECTURES, "granite", granite)
    assert told(pair(tmp_path, "granite", **{key: 3.0})) == [key]


_SHARED = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")


@pytest.mark.parametrize(
    "changes",
    [
        {"initializer_range": 0.5, "attention_dropout": 0.1, "use_cache": False, "eos_token_id": [2, 3]},
        {"unsloth_fixed": True, "made_up": 3},
        {"torch_dtype": "bfloat16", "transformers_version": "4.0.0"},
    ],
    ids=str,
)
def test_what_changes_nothing_is_not_told(changes: dict[str, Any], tmp_path: Path) -> None:
    assert told(pair(tmp_path, **changes)) == []


def test_what_a_config_leaves_out_is_transformers_default(tmp_path: Path) -> None:
    same = ("rms_norm_eps", "attention_bias", "mlp_bias", "rope_parameters", "head_dim", "hidden_act")
    assert told(pair(tmp_path, without=same)) == []
    older = {"rope_theta": 10000.0, "rope_scaling": None}
    shutil.rmtree(tmp_path / "first")
    shutil.rmtree(tmp_path / "second")
    assert told(pair(tmp_path, without=("rope_parameters",), **older)) == []


def test_two_names_of_one_function_are_one(tmp_path: Path) -> None:
    assert told(pair(tmp_path, "gpt2", activation_function="gelu_pytorch_tanh")) == []


@pytest.mark.parametrize(
    ("architecture", "changes", "key"),
    [
        ("llama", {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 2}, "num_attention_heads"),
        ("gpt2", {"n_head": 2}, "n_head"),
        ("gpt_neox", {"use_parallel_residual": False}, "use_parallel_residual"),
    ],
)
def test_another_network_of_the_same_tensors_is_refused_once(
    architecture: str, changes: dict[str, Any], key: str, tmp_path: Path
) -> None:
    found = pair(tmp_path, architecture, **changes)
    assert [each.detail.split()[0] for each in found.refusals].count(key) == 1


def test_models_without_a_recipe_are_compared_too_and_unrelated_ones_minded(tmp_path: Path) -> None:
    folders = [save_tiny_model(tmp_path / str(seed), seed) for seed in (1, 2)]
    found = preflight_models([Parent(model=str(folder)) for folder in folders])
    assert any("look unrelated" in each.detail for each in found.warnings)


def test_where_transformers_is_missing_the_values_are_told_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_settings, "as_transformers_reads", lambda configs: [None] * len(configs))
    found = pair(tmp_path, without=("rms_norm_eps",))
    (warning,) = (each for each in found.warnings if "rms_norm_eps" in each.detail)
    assert "left to transformers' default" in warning.detail


def test_another_process_reads_configurations_as_this_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    folder = save_tiny_model(tmp_path / "model", 0)
    layout = inspect_checkpoint(Parent(model=str(folder)))
    config = json.loads((folder / "config.json").read_text())
    left_out = {k: v for k, v in config.items() if k not in ("attention_bias", "rms_norm_eps", "hidden_act")}
    shutil.copytree(folder, tmp_path / "short")
    (tmp_path / "short" / "config.json").write_text(json.dumps(left_out | {"mlp_bias": True, "made_up": 1}))
    short = inspect_checkpoint(Parent(model=str(tmp_path / "short")))
    assert [each.key for each in differences(short, layout)] == ["mlp_bias"]


def test_an_adapters_model_is_not_taken_for_its_base(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model", 0)
    modules = {
        name.removesuffix(".weight"): entry.shape
        for name, entry in inspect_checkpoint(Parent(model=str(model))).tensors.items()
        if len(entry.shape) == 2 and ".layers." in name
    }
    tensors = {key: t for m, shape in modules.items() for key, t in lora(m, *factors(*shape)).items()}
    adapter = save_adapter(tmp_path / "adapter", tensors)
    parents = [Parent(model=str(model)), Parent.model_validate(f"{model}+{adapter}")]
    found = preflight_models(parents)
    assert not any("same model twice" in each.remedy for each in found.warnings)
