"""A checkpoint is made again from its lock."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from search_spaces import Recipe, Slice, Source
from search_spaces.recipes.settings import constant
from tests.workers.recipes import linear_recipe, parent_at
from workers.checkpoints.tensor_digests import tensor_digests
from workers.errors import CheckpointError
from workers.export.merge_to_disk import merge_to_disk
from workers.export.provenance.reproduction import reproduce
from workers.protocol.messages import ExportOrder, HubTarget
from workers.protocol.reproduction_orders import ReproductionOrder


@pytest.fixture
def parents(tiny_parents: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    return {name: Path(shutil.copytree(folder, tmp_path / name)) for name, folder in tiny_parents.items()}


def random_recipe(parents: dict[str, Path]) -> Recipe:
    parameters = {"weight": constant(0.5), "density": constant(0.4)}
    sources = tuple(
        Source(parent=parent_at(parents[name]), parameters=parameters) for name in ("left", "right")
    )
    base = parent_at(parents["base"])
    return Recipe(method="dare_ties", slices=(Slice(sources=sources),), base=base, seed=5)


def test_a_lock_has_the_hash_of_every_tensor_whether_it_was_resumed_or_not(
    parents: dict[str, Path], tmp_path: Path
) -> None:
    recipe = linear_recipe([parents["left"], parents["right"]], (0.5, 0.5))
    order = ExportOrder(recipe, str(tmp_path / "out"), verify=False, shard_bytes=5000)

    def stop(tensors: int, _: int) -> None:
        if tensors == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge_to_disk(order, stop)
    merge_to_disk(order)
    lock = json.loads((tmp_path / "out" / "evomerge.lock.json").read_text())
    digests = {name: entry["sha256"] for name, entry in lock["tensors"].items()}
    assert digests == tensor_digests(tmp_path / "out")
    assert lock["recipe_digest"] == recipe.digest
    assert len(lock["parents"][0]["files"]["model.safetensors"]) == 64


def test_random_masks_are_drawn_again_though_the_parents_lie_elsewhere(
    parents: dict[str, Path], tmp_path: Path
) -> None:
    order = ExportOrder(random_recipe(parents), str(tmp_path / "out"), verify=False, hub=HubTarget("me/it"))
    merge_to_disk(order)
    lock_text = (tmp_path / "out" / "evomerge.lock.json").read_text()
    assert str(tmp_path) not in lock_text  # it goes to the Hub
    moved = {name: str(parents[name].rename(tmp_path / f"moved-{name}")) for name in parents}
    with pytest.raises(CheckpointError, match="there is no folder"):
        reproduce(ReproductionOrder(str(tmp_path / "out")))
    found = reproduce(ReproductionOrder(str(tmp_path / "out"), moved))
    assert found.is_same
    assert (found.tensors, found.changed_versions) == (21, ())


def test_what_is_not_the_same_is_named(parents: dict[str, Path], tmp_path: Path) -> None:
    order = ExportOrder(random_recipe(parents), str(tmp_path / "out"), verify=False)
    merge_to_disk(order)
    path = tmp_path / "out" / "model.safetensors"
    weights = load_file(path)
    name = "model.layers.1.mlp.up_proj.weight"
    save_file(weights | {name: weights[name] + 1}, path)
    lock_path = tmp_path / "out" / "evomerge.lock.json"
    lock = json.loads(lock_path.read_text())
    lock["versions"]["torch"] = "1.0"
    lock_path.write_text(json.dumps(lock))
    found = reproduce(ReproductionOrder(str(tmp_path / "out")))
    assert (found.altered, found.differing, found.is_same) == ((name,), (), False)
    assert [change[:2] for change in found.changed_versions] == [("torch", "1.0")]
    save_file(weights, parents["left"] / "model.safetensors")
    with pytest.raises(CheckpointError, match="has other weights than"):
        reproduce(ReproductionOrder(str(tmp_path / "out")))


def test_a_folder_without_a_lock_is_refused(parents: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError, match="there is none"):
        reproduce(ReproductionOrder(str(parents["left"])))


def test_another_seed_is_another_model(parents: dict[str, Path], tmp_path: Path) -> None:
    recipe = random_recipe(parents)
    merge_to_disk(ExportOrder(recipe, str(tmp_path / "one"), verify=False))
    other = recipe.model_copy(update={"seed": 6})
    merge_to_disk(replace(ExportOrder(other, str(tmp_path / "two")), verify=False))
    assert tensor_digests(tmp_path / "one") != tensor_digests(tmp_path / "two")
