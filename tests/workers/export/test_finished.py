"""A finished folder whose upload failed is uploaded without merging again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workers.recipes import linear_recipe
from workers.export.finished import forget
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import ExportOrder, HubTarget


@pytest.fixture
def order(tiny_parents: dict[str, Path], tmp_path: Path) -> ExportOrder:
    """An order for the Hub whose folder is finished, and whose upload was not."""
    recipe = linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.5, 0.5))
    target = HubTarget("lab/winner")
    order = ExportOrder(recipe, str(tmp_path / "out"), card="# One", replace=True, hub=target, verify=False)
    merge_to_disk(order)
    return order


def merged_anew(order: ExportOrder) -> bool:
    reported: list[int] = []
    exported = merge_to_disk(order, lambda tensors, _: reported.append(tensors))
    assert set(exported.files) == {path.name for path in Path(order.folder).iterdir()}
    return bool(reported)


def test_the_same_order_merges_once(order: ExportOrder) -> None:
    assert not merged_anew(order)
    forget(Path(order.folder))
    assert merged_anew(order)


def test_the_card_is_written_anew_and_the_digest_is_that_of_the_files(order: ExportOrder) -> None:
    changed = replace(order, card="# Two")
    exported = merge_to_disk(changed)
    assert (Path(order.folder) / "README.md").read_text() == "# Two"
    again = merge_to_disk(replace(changed, folder=order.folder + "-anew"))
    assert exported.digest == again.digest


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def add_a_file(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_text("old")


def lose_a_file(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize("damage", [flip_a_byte, add_a_file, lose_a_file])
def test_a_folder_that_is_not_as_it_was_written_is_not_used(
    order: ExportOrder, damage: Callable[[Path], None]
) -> None:
    damage(Path(order.folder))
    assert merged_anew(order)


def test_another_recipe_or_another_shard_size_is_another_merge(order: ExportOrder) -> None:
    assert merged_anew(replace(order, shard_bytes=5000))
    folders = [Path(parent.model) for parent in order.recipe.all_parents]
    assert merged_anew(replace(order, recipe=linear_recipe(folders, (0.25, 0.75))))


def test_what_stays_here_leaves_no_note(order: ExportOrder, tmp_path: Path) -> None:
    merge_to_disk(replace(order, folder=str(tmp_path / "here" / "out"), hub=None))
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["out"]
