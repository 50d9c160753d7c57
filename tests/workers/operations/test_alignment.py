from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.workers.operations.checkpoints import (
    ARCHITECTURES,
    layout,
    logits,
    parent,
    save_model,
    save_shuffled,
    weights,
)
from workers.errors import CheckpointError, ExportError, MismatchError
from workers.operations.transformer_groups import transformer_blocks
from workers.operations.unit_alignment import align
from workers.protocol.transform_orders import Destination, WeightMatchingOrder

WITHOUT_HEADS = {"bloom"}  # ALiBi ties heads to their number


@pytest.fixture(params=sorted(ARCHITECTURES))
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_shuffled_model_computes_the_same_and_is_put_back_in_order(
    architecture: str, tmp_path: Path
) -> None:
    original = save_model(tmp_path / "original", 0, architecture=architecture)
    changed = save_shuffled(original, tmp_path / "shuffled", 1)
    assert len(changed) >= 6
    before = logits(original)
    torch.testing.assert_close(logits(tmp_path / "shuffled"), before, rtol=0, atol=1e-5)
    align(
        WeightMatchingOrder(
            parent(tmp_path / "shuffled"), parent(original), Destination(str(tmp_path / "back"))
        )
    )
    found, expected = weights(tmp_path / "back"), weights(original)
    assert found.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


def test_aligning_with_a_stranger_keeps_what_the_model_computes(architecture: str, tmp_path: Path) -> None:
    mine, other = (save_model(tmp_path / str(n), n, architecture=architecture) for n in (0, 1))
    done = align(WeightMatchingOrder(parent(mine), parent(other), Destination(str(tmp_path / "out"))))
    torch.testing.assert_close(logits(tmp_path / "out"), logits(mine), rtol=0, atol=1e-5)
    results = json.loads(done.report)["results"]
    assert len(results) >= 2
    assert all(r["inner_product_after"] >= r["inner_product_before"] for r in results.values())
    assert any(r["inner_product_after"] > r["inner_product_before"] + 1 for r in results.values())
    assert sum(r["units_moved"] for r in results.values()) > 20


def test_both_parts_of_every_layer_are_found(architecture: str, tmp_path: Path) -> None:
    blocks = transformer_blocks(layout(save_model(tmp_path / "m", 0, architecture=architecture)))
    kinds = [name for block in blocks for name, _ in block.groups]
    assert kinds.count("hidden") >= 2
    assert kinds.count("values") == (0 if architecture in WITHOUT_HEADS else 2)


def test_equal_orders_write_equal_files(tmp_path: Path) -> None:
    mine, other = (save_model(tmp_path / str(n), n, architecture="mixtral") for n in (0, 1))
    digests = [
        align(
            WeightMatchingOrder(parent(mine), parent(other), Destination(str(tmp_path / name)))
        ).exported.digest
        for name in ("one", "two")
    ]
    assert digests[0] == digests[1]


def test_sharded_results_hold_the_same_weights_in_the_parents_own_type(tmp_path: Path) -> None:
    mine, other = (save_model(tmp_path / str(n), n, dtype=torch.bfloat16) for n in (0, 1))
    align(WeightMatchingOrder(parent(mine), parent(other), Destination(str(tmp_path / "one"))))
    done = align(
        WeightMatchingOrder(parent(mine), parent(other), Destination(str(tmp_path / "two"), shard_bytes=4000))
    )
    assert sum(name.startswith("model-") for name in done.exported.files) >= 3
    table = layout(tmp_path / "two").tensors
    assert {entry.dtype for entry in table.values()} == {"BF16"}
    assert torch.equal(logits(tmp_path / "one"), logits(tmp_path / "two"))


def test_a_module_with_a_part_that_is_not_understood_is_left_alone(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "m", 0)
    tensors = weights(folder)
    tensors["model.layers.0.mlp.inner_norm.weight"] = torch.ones(24)
    tensors["model.layers.0.self_attn.head_scale.weight"] = torch.ones(4)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    found = {block.name for block in transformer_blocks(layout(folder))}
    assert found == {"model.layers.1.mlp", "model.layers.1.self_attn"}


def test_experts_that_are_routed_by_groups_stay_in_their_places(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "m", 0, architecture="qwen3_moe")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_group": 2}))
    blocks = [block for block in transformer_blocks(layout(folder)) if "experts" in block.name]
    assert len(blocks) == 8
    assert all(block.units == 1 for block in blocks)


def test_models_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    llama, qwen = save_model(tmp_path / "llama", 0), save_model(tmp_path / "qwen", 0, architecture="qwen2")
    place = Destination(str(tmp_path / "out"))
    with pytest.raises(MismatchError, match="is a LlamaForCausalLM"):
        align(WeightMatchingOrder(parent(llama), parent(qwen), place))
    with pytest.raises(CheckpointError, match="no folder"):
        align(WeightMatchingOrder(parent(llama), parent(tmp_path / "missing"), place))
    wide = tmp_path / "wide"
    shutil.copytree(llama, wide)
    tensors = weights(llama)
    tensors["model.layers.1.mlp.up_proj.weight"] = torch.zeros(30, 16)
    save_file(tensors, wide / "model.safetensors", {"format": "pt"})
    with pytest.raises(MismatchError, match=r"'model.layers.1.mlp.up_proj.weight' has shape"):
        align(WeightMatchingOrder(parent(llama), parent(wide), place))
    assert not (tmp_path / "out").exists()


def test_weights_that_are_no_numbers_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    mine, other = (save_model(tmp_path / str(n), n) for n in (0, 1))
    tensors = weights(other)
    tensors["model.layers.1.mlp.down_proj.weight"][3, 2] = float("nan")
    save_file(tensors, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1.*model.layers.1.mlp.down_proj.weight.*NaN"):
        align(WeightMatchingOrder(parent(mine), parent(other), Destination(str(tmp_path / "out"))))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_a_folder_that_exists_is_replaced_only_when_asked(tmp_path: Path) -> None:
    mine = save_model(tmp_path / "m", 0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    with pytest.raises(ExportError, match="exists already"):
        align(WeightMatchingOrder(parent(mine), parent(mine), Destination(str(tmp_path / "out"))))
    align(WeightMatchingOrder(parent(mine), parent(mine), Destination(str(tmp_path / "out"), replace=True)))
    assert not (tmp_path / "out" / "precious.txt").exists()
    expected = weights(mine)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(tmp_path / "out").items())
