"""LoRA adapters as parents: W + scale * B A, whatever the adapter's and the checkpoint's names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from search_spaces import Parent
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from tests.tiny_models import save_tiny_model
from tests.workers.recipes import linear_recipe
from workers.checkpoints.inspection import inspect_checkpoint
from workers.checkpoints.parents import CheckpointReader
from workers.errors import CheckpointError, MismatchError, WorkerError
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import ExportOrder

PREFIX = "base_model.model."
QUERY = "model.layers.0.self_attn.q_proj"
DOWN = "model.layers.1.mlp.down_proj"
CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "base_model_name_or_path": "org/base"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "model", 0)


def factors(rows: int, columns: int, rank: int = 2, seed: int = 7) -> tuple[Tensor, Tensor]:
    """Returns A [rank, columns] and B [rows, rank]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rank, columns, generator=generator), torch.randn(rows, rank, generator=generator)


def save_adapter(folder: Path, tensors: Mapping[str, Tensor], **config: Any) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | config))
    named = {PREFIX + name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(named, folder / "adapter_model.safetensors")
    return folder


def lora(module: str, down: Tensor, up: Tensor) -> dict[str, Tensor]:
    return {f"{module}.lora_A.weight": down, f"{module}.lora_B.weight": up}


def read(model: Path, adapter: Path, name: str) -> Tensor:
    parent = Parent.model_validate(f"{model}+{adapter}")
    with CheckpointReader({parent: inspect_checkpoint(parent)}) as reader:
        return reader.read(parent, name)


def stored(model: Path, name: str) -> Tensor:
    return load_file(model / "model.safetensors")[name]


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 3.0),
        ({"use_rslora": True}, 6 / 2**0.5),
        ({"alpha_pattern": {"q_proj": 8}}, 4.0),
        ({"alpha_pattern": {"layers.1.self_attn.q_proj": 8}}, 3.0),
        ({"alpha_pattern": {"^model.layers.0.self_attn.q_proj": 8}}, 4.0),
        ({"alpha_pattern": {"^q_proj": 8}}, 3.0),
        ({"r": 16, "rank_pattern": {r"layers\.0\.self_attn\.q_proj": 2}}, 3.0),
    ],
)
def test_the_scale_is_the_one_that_the_configuration_gives_a_module(
    config: dict[str, Any], scale: float, model: Path, tmp_path: Path
) -> None:
    down, up = factors(16, 16)
    adapter = save_adapter(tmp_path / "adapter", lora(QUERY, down, up), **config)
    expected = stored(model, f"{QUERY}.weight") + scale * up @ down
    torch.testing.assert_close(read(model, adapter, f"{QUERY}.weight"), expected)


def test_what_an_adapter_does_not_name_is_the_models_own(model: Path, tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "adapter", lora(QUERY, *factors(16, 16)))
    assert torch.equal(read(model, adapter, f"{DOWN}.weight"), stored(model, f"{DOWN}.weight"))


def test_the_sum_is_rounded_once_to_the_models_format(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "narrow", 0, dtype=torch.bfloat16)
    down, up = factors(16, 24)
    adapter = save_adapter(tmp_path / "adapter", lora(DOWN, down.bfloat16(), up.bfloat16()))
    wide = stored(model, f"{DOWN}.weight").float() + 3.0 * (up.bfloat16().float() @ down.bfloat16().float())
    assert torch.equal(read(model, adapter, f"{DOWN}.weight"), wide.bfloat16())


def test_a_layer_that_is_stored_the_other_way_round_gets_the_product_that_way(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "gpt2", 0, architecture="gpt2")
    module = "transformer.h.0.attn.c_attn"
    down, up = factors(48, 16)
    adapter = save_adapter(tmp_path / "adapter", lora(module, down, up), fan_in_fan_out=True)
    expected = stored(model, f"{module}.weight") + 3.0 * (up @ down).T
    torch.testing.assert_close(read(model, adapter, f"{module}.weight"), expected)
    square = "transformer.h.0.attn.c_proj"
    down, up = factors(16, 16)
    adapter = save_adapter(tmp_path / "square", lora(square, down, up), fan_in_fan_out=True)
    expected = stored(model, f"{square}.weight") + 3.0 * (up @ down).T
    torch.testing.assert_close(read(model, adapter, f"{square}.weight"), expected)


def test_an_embeddings_factors_are_added_row_by_row(model: Path, tmp_path: Path) -> None:
    down, up = factors(16, 32)
    names = {
        "model.embed_tokens.lora_embedding_A": down,
        "model.embed_tokens.lora_embedding_B": up,
    }
    adapter = save_adapter(tmp_path / "adapter", names)
    expected = stored(model, "model.embed_tokens.weight") + 3.0 * (up @ down).T
    torch.testing.assert_close(read(model, adapter, "model.embed_tokens.weight"), expected)


@pytest.mark.parametrize("name", ["lm_head.weight", "lm_head.modules_to_save.default.weight"])
def test_modules_that_were_trained_whole_replace_the_models(name: str, model: Path, tmp_path: Path) -> None:
    head = torch.randn(32, 16)
    tensors = {name: head} | lora(QUERY, *factors(16, 16))
    adapter = save_adapter(tmp_path / "adapter", tensors, modules_to_save=["lm_head"])
    assert torch.equal(read(model, adapter, "lm_head.weight"), head)


def test_a_model_with_an_adapter_is_a_parent_like_any_other(model: Path, tmp_path: Path) -> None:
    down, up = factors(16, 16)
    adapter = save_adapter(tmp_path / "adapter", lora(QUERY, down, up))
    text = (
        "merge_method: task_arithmetic\n"
        f"base_model: {model}\n"
        f"models: [{{model: {model}+{adapter}, parameters: {{weight: 0.5}}}}]\n"
    )
    order = ExportOrder(recipe=read_recipe(text), folder=str(tmp_path / "merged"))
    found = load_file(Path(merge_to_disk(order).folder) / "model.safetensors")
    expected = stored(model, f"{QUERY}.weight") + 0.5 * 3.0 * up @ down
    torch.testing.assert_close(found[f"{QUERY}.weight"], expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(found[f"{DOWN}.weight"], stored(model, f"{DOWN}.weight"))


def test_changing_the_adapter_changes_the_digest(model: Path) -> None:
    plain = linear_recipe([model], [1.0])
    adapted = linear_recipe([Path(f"{model}+./adapter")], [1.0])
    assert plain.digest != adapted.digest


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"use_dora": True}, "no lora_magnitude_vector"),
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
        ({"bias": "some"}, "bias is 'some'"),
        ({"lora_bias": True}, "lora_B of 'model.layers.0.self_attn.q_proj' has no bias"),
        ({"trainable_token_indices": [1], "layer_replication": [[0, 2]]}, "more layers than its model"),
        ({"init_lora_weights": "pissa_niter_4"}, "its base has other weights"),
        ({"target_parameters": ["experts"]}, "target_parameters"),
        ({"r": 8}, "its factors have rank 2"),
        ({"lora_alpha": None}, "alpha is None"),
        ({"alpha_pattern": {"(a+)+$": 3}}, "has the expression"),
        ({"alpha_pattern": {"(a|ab)*c": 3}}, "has the expression"),
        ({"rank_pattern": {".*.*.*.*x": 3}}, "has the expression"),
        ({"rank_pattern": {"(": 3}}, "has the expression"),
    ],
)
def test_what_is_broken_or_no_lora_adapter_is_refused(
    config: dict[str, Any], part: str, model: Path, tmp_path: Path
) -> None:
    adapter = save_adapter(tmp_path / "adapter", lora(QUERY, *factors(16, 16)), **config)
    with pytest.raises(CheckpointError, match=r".") as caught:
        read(model, adapter, f"{QUERY}.weight")
    assert part in caught.value.detail
    assert caught.value.field == str(adapter)


@pytest.mark.parametrize(
    ("tensors", "part"),
    [
        (lora(QUERY, *factors(20, 20)), "has shape [16, 16]"),
        (lora("model.layers.7.self_attn.q_proj", *factors(16, 16)), "does not store"),
        ({"lm_head.weight": torch.randn(40, 16)}, "has shape [32, 16]"),
        (lora("model.visual.proj", *factors(16, 16)), "does not store"),
    ],
)
def test_an_adapter_of_another_model_is_refused_and_says_which_it_was_made_for(
    tensors: dict[str, Tensor], part: str, model: Path, tmp_path: Path
) -> None:
    adapter = save_adapter(tmp_path / "adapter", tensors)
    with pytest.raises(MismatchError) as caught:
        read(model, adapter, f"{QUERY}.weight")
    assert part in caught.value.detail
    assert "org/base" in caught.value.remedy


def test_half_an_adapter_is_refused(model: Path, tmp_path: Path) -> None:
    down, _ = factors(16, 16)
    adapter = save_adapter(tmp_path / "adapter", {f"{QUERY}.lora_A.weight": down})
    with pytest.raises(CheckpointError, match="has no lora_B"):
        read(model, adapter, f"{QUERY}.weight")


def test_a_folder_without_an_adapter_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, part in ((tmp_path / "empty", "no adapter_config.json"), (tmp_path / "none", "no adapter")):
        with pytest.raises(WorkerError, match=part):
            read(model, folder, f"{QUERY}.weight")
