"""A parent with an adapter computes what peft computes with that adapter on.

peft itself makes, saves and loads the adapters; the merged folder is loaded by transformers alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from tests.tiny_models import ARCHITECTURES, save_tiny_model
from workers.errors import CheckpointError
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import ExportOrder

peft = pytest.importorskip("peft", reason="peft is the reference")
pytestmark = pytest.mark.filterwarnings("ignore")

IDS = torch.tensor([[1, 5, 9, 13, 20, 7, 11, 30]])
ATTENTION = ["q_proj", "v_proj"]
CASES: dict[str, dict[str, Any]] = {
    "plain": {"target_modules": ATTENTION},
    "all linear layers, rank-stabilized": {"target_modules": "all-linear", "use_rslora": True},
    "embeddings and head": {"target_modules": ["embed_tokens", "lm_head"]},
    "DoRA": {"target_modules": [*ATTENTION, "down_proj", "embed_tokens"], "use_dora": True},
    "ranks and alphas by expression": {
        "target_modules": [*ATTENTION, "down_proj"],
        "rank_pattern": {r".*layers\.[1-3]\.self_attn\.(q|k)_proj": 3, "^model.layers.0.mlp.down_proj": 5},
        "alpha_pattern": {r"layers\.\d+\.self_attn\.v_proj": 7, "down_proj": 1},
    },
    "biases of adapted layers": {"target_modules": ATTENTION, "bias": "lora_only"},
    "all biases": {"target_modules": ["q_proj", "down_proj"], "bias": "all"},
    "biases of the factors": {"target_modules": ATTENTION, "lora_bias": True},
    "tokens": {"target_modules": ATTENTION, "trainable_token_indices": [3, 31, 7]},
    "tokens by module": {
        "target_modules": ATTENTION,
        "trainable_token_indices": {"embed_tokens": [2, 9], "lm_head": [4]},
    },
    "modules trained whole": {"target_modules": ATTENTION, "modules_to_save": ["lm_head", "embed_tokens"]},
    "some layers": {"target_modules": ATTENTION, "layers_to_transform": [1], "layers_pattern": "layers"},
    "all but some": {"target_modules": "all-linear", "exclude_modules": r".*(k|up)_proj"},
    "orthogonal at the start": {"target_modules": ATTENTION, "init_lora_weights": "orthogonal"},
}
TIED: dict[str, dict[str, Any]] = {
    "factors on the embeddings": {"target_modules": ["embed_tokens", "q_proj"]},
    "factors on the head": {"target_modules": ["lm_head"]},
    "factors on both": {"target_modules": ["embed_tokens", "lm_head"]},
    "factors on both, tied": {"target_modules": ["embed_tokens", "lm_head"], "ensure_weight_tying": True},
    "head trained whole": {"target_modules": ATTENTION, "modules_to_save": ["lm_head"]},
    "embeddings trained whole": {"target_modules": ATTENTION, "modules_to_save": ["embed_tokens"]},
    "trained whole, tied": {
        "target_modules": ATTENTION,
        "modules_to_save": ["embed_tokens"],
        "ensure_weight_tying": True,
    },
    "tokens": {"target_modules": ATTENTION, "trainable_token_indices": [3, 31, 7]},
    "tokens of the head": {"target_modules": ATTENTION, "trainable_token_indices": {"lm_head": [3]}},
}
GPT2: dict[str, dict[str, Any]] = {
    "stored input first": {"target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True},
    "DoRA stored input first": {"target_modules": ["c_attn", "c_proj"], "use_dora": True},
    "all biases": {"target_modules": ["c_attn"], "bias": "all"},
    "embeddings": {"target_modules": ["wte", "wpe"]},
}


def _model(folder: Path, architecture: str, **changes: Any) -> Path:
    """Writes a model whose biases are not zero."""
    config = type(ARCHITECTURES[architecture])(**{**ARCHITECTURES[architecture].to_dict(), **changes})
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config).float()
    _scatter(model.named_parameters(), 0.1)
    model.tie_weights()
    model.save_pretrained(folder)
    return folder


def _scatter(parameters: Any, spread: float) -> None:
    torch.manual_seed(2)
    with torch.no_grad():
        for _, parameter in parameters:
            parameter.add_(torch.randn_like(parameter) * spread)


def _trained(model: Path, folder: Path, save_embedding_layers: bool | str, config: Mapping[str, Any]) -> Path:
    """Writes an adapter of which every trainable number has moved."""
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    adapted = peft.get_peft_model(network, peft.LoraConfig(**{"r": 2, "lora_alpha": 6, **config}))
    _scatter(((n, p) for n, p in adapted.named_parameters() if p.requires_grad), 0.3)
    adapted.save_pretrained(folder, save_embedding_layers=save_embedding_layers)
    return folder


def _loaded(model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)


def _logits(network: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = network.eval()(input_ids=IDS, use_cache=False).logits
    return found


def _merged(model: Path, adapter: Path, folder: Path) -> Path:
    recipe = f"merge_method: passthrough\nmodels: [{{model: {model}+{adapter}}}]\n"
    return Path(merge_to_disk(ExportOrder(recipe=read_recipe(recipe), folder=str(folder))).folder)


def _check(
    model: Path, tmp_path: Path, config: Mapping[str, Any], save_embedding_layers: bool | str = "auto"
) -> Path:
    adapter = _trained(model, tmp_path / "adapter", save_embedding_layers, config)
    expected = _logits(peft.PeftModel.from_pretrained(_loaded(model), str(adapter)))
    assert float((expected - _logits(_loaded(model))).abs().max()) > 1e-3
    merged = _merged(model, adapter, tmp_path / "merged")
    loaded: Any = AutoModelForCausalLM.from_pretrained(merged, output_loading_info=True)
    network, told = loaded
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    torch.testing.assert_close(_logits(network), expected, atol=2e-5, rtol=1e-4)
    return merged


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "untied"
    return _model(folder, "llama", attention_bias=True, mlp_bias=True)


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _model(tmp_path_factory.mktemp("models") / "tied", "llama", tie_word_embeddings=True)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _model(tmp_path_factory.mktemp("models") / "gpt2", "gpt2")


@pytest.mark.parametrize("case", CASES)
def test_what_an_adapter_does_is_what_peft_does(case: str, untied: Path, tmp_path: Path) -> None:
    merged = _check(untied, tmp_path, CASES[case])
    reference = peft.PeftModel.from_pretrained(_loaded(untied), str(tmp_path / "adapter")).merge_and_unload()
    found = load_file(merged / "model.safetensors")
    for name, tensor in reference.state_dict().items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("case", TIED)
def test_tied_embeddings_part_where_the_adapter_parts_them(case: str, tied: Path, tmp_path: Path) -> None:
    _check(tied, tmp_path, TIED[case])


@pytest.mark.parametrize("case", ["factors on both, tied", "tokens", "factors on the head"])
def test_a_tied_model_that_stores_its_head_as_well_is_adapted_alike(
    case: str, tied: Path, tmp_path: Path
) -> None:
    twice = tmp_path / "twice"
    shutil.copytree(tied, twice)
    tensors = load_file(tied / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, twice / "model.safetensors", metadata={"format": "pt"})
    _check(twice, tmp_path, TIED[case])


@pytest.mark.parametrize("case", GPT2)
def test_layers_that_are_stored_input_first_are_adapted_too(case: str, gpt2: Path, tmp_path: Path) -> None:
    _check(gpt2, tmp_path, GPT2[case])


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": ATTENTION, "modules_to_save": ["embed_tokens"]},
        {"target_modules": ["embed_tokens", "lm_head"]},
        {"target_modules": ATTENTION},
    ],
    ids=str,
)
def test_embeddings_that_are_saved_beside_an_adapter_change_nothing(
    config: dict[str, Any], untied: Path, tied: Path, tmp_path: Path
) -> None:
    for model in (untied, tied):
        (tmp_path / model.name).mkdir()
        _check(model, tmp_path / model.name, config, save_embedding_layers=True)


def test_a_square_layer_stored_input_first_does_not_depend_on_what_the_adapter_says(
    gpt2: Path, tmp_path: Path
) -> None:
    adapter = _trained(gpt2, tmp_path / "adapter", "auto", {"target_modules": [r"attn.c_proj"]})
    expected = _logits(peft.PeftModel.from_pretrained(_loaded(gpt2), str(adapter)))
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"fan_in_fan_out": False}))
    torch.testing.assert_close(_logits(_loaded(_merged(gpt2, adapter, tmp_path / "out"))), expected)


def test_an_adapter_on_a_mixture_of_experts_router_is_applied(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model", 0, architecture="qwen3_moe")
    _check(model, tmp_path, {"target_modules": ["q_proj", "o_proj"], "use_dora": True})


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"init_lora_weights": "pissa"}, "its base has other weights"),
        ({"alora_invocation_tokens": [5, 9]}, "after certain tokens only"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "more layers"),
    ],
)
def test_what_no_weights_can_express_is_refused_with_the_reason(
    config: dict[str, Any], part: str, untied: Path, tmp_path: Path
) -> None:
    adapter = _trained(untied, tmp_path / "adapter", "auto", {"target_modules": ATTENTION, **config})
    with pytest.raises(CheckpointError, match=part):
        _merged(untied, adapter, tmp_path / "merged")
