"""Checkpoints are loaded by transformers in a fresh process before they get their name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.tiny_models import save_tiny_model
from tests.workers.recipes import exploding_recipe, parent_at
from workers.checkpoints.verification.loading_check import check_loads
from workers.errors import ExportError
from workers.export.merge_to_disk import merge_to_disk
from workers.operations.carry_out import transform
from workers.protocol.messages import ExportOrder
from workers.protocol.transform_orders import Destination, WeightMatchingOrder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "model", 1)


def with_config(folder: Path, **changes: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def with_tensors(folder: Path, changes: dict[str, torch.Tensor]) -> Path:
    path = folder / "model.safetensors"
    save_file(load_file(path) | changes, path, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("architecture", ["qwen3_moe", "gemma3", "gpt2"])
def test_what_transformers_saved_is_found_right(tmp_path: Path, architecture: str) -> None:
    folder = save_tiny_model(tmp_path / "model", 1, architecture=architecture, dtype=torch.bfloat16)
    said = check_loads(folder, "x")
    assert "bfloat16, logits finite" in said


@pytest.mark.parametrize("free", [None, 1000])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_hidden_layers": 3}, "random: 'model.layers.2"),
        ({"num_hidden_layers": 1}, "no place for 'model.layers.1"),
        ({"intermediate_size": 20}, "other shapes than config.json promises: 'model.layers.0.mlp"),
        ({"dtype": "bfloat16"}, "promises bfloat16, the weights are float32"),
        ({"model_type": "nothing"}, "cannot load it"),
    ],
)
def test_a_checkpoint_that_is_not_what_its_configuration_promises_is_refused(
    model: Path, changes: dict[str, Any], words: str, free: int | None
) -> None:
    with pytest.raises(ExportError, match="is not written") as caught:
        check_loads(with_config(model, **changes), "x", free=free)
    assert words in caught.value.detail


def test_a_model_larger_than_its_share_of_the_memory_is_compared_by_names_and_shapes_and_that_is_said(
    model: Path,
) -> None:
    said = check_loads(model, "x", free=1000)
    assert "on the meta device, no logits computed" in said
    assert "more than 50% of" in said


def test_a_tensor_that_has_no_place_in_the_parent_either_is_said_and_no_fault(
    model: Path, tmp_path: Path
) -> None:
    more = {"value_head.weight": torch.ones(1, 16)}
    made, parent = (with_tensors(save_tiny_model(tmp_path / str(n), n), more) for n in (2, 3))
    assert "as in the parent, for 'value_head.weight'" in check_loads(made, "x", owner=parent)
    with pytest.raises(ExportError, match="no place"):
        check_loads(made, "x", owner=model)


def test_an_export_whose_logits_are_not_finite_leaves_nothing_unless_the_check_is_left_out(
    model: Path, tmp_path: Path
) -> None:
    order = ExportOrder(exploding_recipe(model), str(tmp_path / "out" / "merged"))
    with pytest.raises(ExportError, match="are not finite") as caught:
        merge_to_disk(order)
    assert caught.value.field == order.folder
    assert list((tmp_path / "out").iterdir()) == []
    assert merge_to_disk(replace(order, verify=False)).verified == ""


def test_what_an_operation_wrote_is_loaded_too(model: Path, tmp_path: Path) -> None:
    reference = save_tiny_model(tmp_path / "reference", 2)
    order = WeightMatchingOrder(parent_at(model), parent_at(reference), Destination(str(tmp_path / "out")))
    assert "logits finite" in transform(order).exported.verified
