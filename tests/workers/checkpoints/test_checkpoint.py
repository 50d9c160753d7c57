from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from search_spaces import Parent
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from tests.tiny_models import save_tiny_model
from tests.workers.recipes import linear_recipe, stacking_recipe
from workers.checkpoints.inspection import inspect_checkpoint
from workers.checkpoints.writing.checkpoint import Contents, StoredTensor, write_checkpoint
from workers.errors import ExportError, MergeError
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import Exported, ExportOrder

WRITER = """
import sys, time
from pathlib import Path
import torch
from workers.checkpoints.writing.checkpoint import Contents, StoredTensor, write_checkpoint
tensors = [StoredTensor(f"model.layers.{n}.w", (64, 64), "F32") for n in range(40)]
def slowly():
    for number, tensor in enumerate(tensors):
        if number == 20:
            print("half", flush=True)
            time.sleep(60)
        yield tensor.name, torch.zeros(tensor.shape)
write_checkpoint(Contents({}, tensors, shard_bytes=50_000), slowly(), Path(sys.argv[1]))
"""


@pytest.fixture
def order(tiny_parents: dict[str, Path], tmp_path: Path) -> ExportOrder:
    recipe = linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.5, 0.5))
    extra = {"scores.json": "{}"}
    return ExportOrder(recipe, str(tmp_path / "out" / "winner"), card="# A model", extra_files=extra)


def test_an_export_is_an_ordinary_checkpoint_folder(order: ExportOrder) -> None:
    exported = merge_to_disk(order)
    folder = Path(exported.folder)
    assert set(exported.files) == {path.name for path in folder.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} < set(
        exported.files
    )
    assert exported.bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert (folder / "README.md").read_text() == "# A model"
    assert (folder / "scores.json").read_text() == "{}"
    assert read_recipe((folder / "mergekit_config.yml").read_text()).digest == order.recipe.digest
    assert AutoTokenizer.from_pretrained(folder).decode([5, 6]) == "w1 w2"
    assert AutoModelForCausalLM.from_pretrained(folder).num_parameters() > 0
    assert "_name_or_path" not in json.loads((folder / "config.json").read_text())


def test_shards_hold_what_one_file_would(order: ExportOrder, tmp_path: Path) -> None:
    whole = Path(merge_to_disk(order).folder)
    sharded = Path(_again(order, tmp_path / "sharded", shard_bytes=4_000).folder)
    shards = sorted(path.name for path in sharded.glob("*.safetensors"))
    assert len(shards) > 3
    assert shards[0] == f"model-00001-of-{len(shards):05d}.safetensors"
    together = {name: t for shard in shards for name, t in load_file(sharded / shard).items()}
    single = load_file(whole / "model.safetensors")
    assert together.keys() == single.keys()
    assert all(torch.equal(single[name], together[name]) for name in single)
    assert (
        inspect_checkpoint(Parent(model=str(sharded))).bytes
        == inspect_checkpoint(Parent(model=str(whole))).bytes
    )
    model = AutoModelForCausalLM.from_pretrained(sharded)
    assert torch.equal(model.model.norm.weight, single["model.norm.weight"])


def _again(order: ExportOrder, folder: Path, **changes: object) -> Exported:
    fields = {
        "recipe": order.recipe,
        "folder": str(folder),
        "card": order.card,
        "extra_files": order.extra_files,
    }
    return merge_to_disk(ExportOrder(**(fields | changes)))  # type: ignore[arg-type]


def test_equal_recipes_give_equal_files(order: ExportOrder, tmp_path: Path) -> None:
    assert merge_to_disk(order).digest == _again(order, tmp_path / "twin").digest
    assert merge_to_disk(order_with_card(order, tmp_path)).digest != _again(order, tmp_path / "third").digest


def order_with_card(order: ExportOrder, tmp_path: Path) -> ExportOrder:
    return ExportOrder(order.recipe, str(tmp_path / "other"), card="# Another")


def test_the_configuration_follows_depth_and_number_format(
    tiny_parents: dict[str, Path], tmp_path: Path
) -> None:
    qwen = save_tiny_model(tmp_path / "qwen", 0, architecture="qwen2")
    folder = tmp_path / "stack"
    merge_to_disk(ExportOrder(stacking_recipe((qwen, 0), (qwen, 1), (qwen, 1)), str(folder)))
    config = json.loads((folder / "config.json").read_text())
    assert config["num_hidden_layers"] == len(config["layer_types"]) == 3
    pair = [tiny_parents["left"], tiny_parents["right"]]
    merge_to_disk(ExportOrder(linear_recipe(pair, (0.5, 0.5), out_dtype="bfloat16"), str(tmp_path / "half")))
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "bfloat16"
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "half", dtype="auto").dtype == torch.bfloat16


def test_progress_is_told_tensor_by_tensor(order: ExportOrder) -> None:
    reported: list[tuple[int, int]] = []
    merge_to_disk(order, lambda tensors, size: reported.append((tensors, size)))
    assert [tensors for tensors, _ in reported] == list(range(1, 22))
    assert reported[-1][1] == inspect_checkpoint(Parent(model=order.folder)).bytes


def test_a_folder_that_exists_is_replaced_only_when_asked(order: ExportOrder) -> None:
    folder = Path(order.folder)
    folder.mkdir(parents=True)
    (folder / "precious.txt").write_text("mine")
    with pytest.raises(ExportError, match="exists already") as caught:
        merge_to_disk(order)
    assert "replace" in caught.value.remedy
    assert [path.name for path in folder.iterdir()] == ["precious.txt"]
    exported = _again(order, folder, replace=True)
    assert set(exported.files) == {path.name for path in folder.iterdir()}
    assert [path.name for path in folder.parent.iterdir()] == ["winner"]


def test_a_merge_that_fails_halfway_leaves_nothing(tmp_path: Path) -> None:
    tensors = [StoredTensor("a", (4,), "F32"), StoredTensor("b", (4,), "F32")]
    contents, folder = Contents({}, tensors), tmp_path / "out"
    wrong = [("a", torch.zeros(4)), ("b", torch.zeros(5))]
    missing = [("a", torch.zeros(4))]
    surplus = [("a", torch.zeros(4)), ("b", torch.zeros(4)), ("c", torch.zeros(4))]
    other_type = [("a", torch.zeros(4)), ("b", torch.zeros(4, dtype=torch.bfloat16))]
    for given in (wrong, missing, surplus, other_type):
        with pytest.raises(MergeError):
            write_checkpoint(contents, given, folder)
        assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_nothing_under_the_final_name_and_the_next_one_tidies_up(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "winner"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        os.kill(writer.pid, signal.SIGKILL)
    assert not folder.exists()
    (leftover,) = tmp_path.iterdir()
    assert leftover.name.startswith(".winner.partial-")
    write_checkpoint(Contents({}, [StoredTensor("a", (4,), "F32")]), [("a", torch.ones(4))], folder)
    assert [path.name for path in tmp_path.iterdir()] == ["winner"]
    assert torch.equal(load_file(folder / "model.safetensors")["a"], torch.ones(4))


def test_a_checkpoint_larger_than_the_disk_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    contents = Contents({}, [StoredTensor("a", (2**24, 2**24), "F32")])
    with pytest.raises(ExportError, match="GB are needed"):
        write_checkpoint(contents, iter(()), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        write_checkpoint(Contents({}, [StoredTensor("a", (4,), "F32")]), iter(()), tmp_path / "file" / "out")


def test_extra_files_cannot_leave_the_folder(tmp_path: Path) -> None:
    contents = Contents({}, [StoredTensor("a", (4,), "F32")], texts={"../escaped.md": "boom"})
    with pytest.raises(ExportError, match="no plain file name"):
        write_checkpoint(contents, [("a", torch.zeros(4))], tmp_path / "in" / "out")
    assert not (tmp_path / "in" / "escaped.md").exists()
