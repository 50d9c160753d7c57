"""Exports to other places than folders, and in other formats than checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from tests.workers.recipes import linear_recipe
from workers.errors import ExportError
from workers.export.export import export
from workers.export.foresight import foresee
from workers.export.object_store import open_store
from workers.protocol.card_marks import VERIFIED
from workers.protocol.messages import ExportOrder


@pytest.fixture
def order(tiny_parents: dict[str, Path], tmp_path: Path) -> ExportOrder:
    recipe = linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.5, 0.5))
    return ExportOrder(
        recipe, str(tmp_path / "out"), card=f"# card\n{VERIFIED}\n", extra_files={"evomerge.json": "{}"},
        pictures={"front.png": b"\x89PNG"}, verify=False,
    )  # fmt: skip


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_an_object_store_gets_every_file_and_the_configuration_last(
    order: ExportOrder, tmp_path: Path, scheme: str
) -> None:
    address = f"{scheme}://{tmp_path}/store/merged"
    done = export(replace(order, remote=address))
    assert done.url == address
    system, root = fsspec.url_to_fs(address)
    stored = {path.removeprefix(f"{root}/"): system.cat_file(path) for path in system.find(root)}
    assert stored == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(ExportError, match="files already"):
        export(replace(order, remote=address, replace=True))
    export(replace(order, remote=address, replace=True, replace_remote=True))


def test_a_store_without_its_library_says_what_to_install(order: ExportOrder) -> None:
    with pytest.raises(ExportError, match="install fsspec's library for gcs"):
        open_store("gcs://bucket/path")
    with pytest.raises(ExportError, match="install fsspec's library for nothing"):
        open_store("nothing://bucket/path")


def test_a_recipe_alone_is_written_without_weights(order: ExportOrder, tmp_path: Path) -> None:
    export(replace(order, format="mergekit"))
    folder = tmp_path / "out"
    names = {"README.md", "evomerge.json", "front.png", "mergekit_config.yml"}
    assert {path.name for path in folder.iterdir()} == names
    assert read_recipe((folder / "mergekit_config.yml").read_text()).digest == order.recipe.digest
    assert "without weights" in (folder / "README.md").read_text()


def test_gguf_needs_a_converter_before_anything_is_merged(
    order: ExportOrder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match="no converter to GGUF is installed; set EVOMERGE_GGUF_CONVERTER"):
        export(replace(order, format="gguf"))
    assert not (tmp_path / "out").exists()
    converter = tmp_path / "convert_hf_to_gguf.py"
    monkeypatch.setenv("EVOMERGE_GGUF_CONVERTER", str(converter))
    converter.write_text("import sys; sys.exit('unknown architecture')\n")
    with pytest.raises(ExportError, match="ended with 1: unknown architecture"):
        export(replace(order, format="gguf"))
    converter.write_text("import sys, pathlib; pathlib.Path(sys.argv[3]).write_bytes(b'GGUF')\n")
    done = export(replace(order, format="gguf", replace=True))
    assert (tmp_path / "out" / "out.gguf").read_bytes() == b"GGUF"
    assert "out.gguf" in done.files


@pytest.mark.parametrize("changes", [{}, {"shard_bytes": 5000}, {"format": "mergekit"}])
def test_what_is_foreseen_is_what_is_written_to_the_byte(
    order: ExportOrder, tmp_path: Path, changes: dict[str, Any]
) -> None:
    order = replace(order, card="# card\n", **changes)
    before = set(tmp_path.iterdir())
    foreseen = foresee(order)
    assert set(tmp_path.iterdir()) == before
    assert foreseen.change == f"makes {tmp_path / 'out'}"
    export(order)
    assert foreseen.files == {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert f"{len(foreseen.files)} files" in foresee(replace(order, replace=True)).change


def test_a_store_that_holds_something_is_foreseen(order: ExportOrder, tmp_path: Path) -> None:
    address = f"file://{tmp_path}/store/merged"
    order = replace(order, remote=address)
    assert foresee(order).change == f"fills {address}"
    export(order)
    again = foresee(order)
    assert "--replace replaces them" in again.refusals[0]
    assert f"deletes {len(again.files)} files" in again.change
    assert not foresee(replace(order, replace_remote=True)).refusals


def test_what_strict_refuses_is_refused_by_a_dry_run_too(
    order: ExportOrder, tiny_parents: dict[str, Path]
) -> None:
    left, right = tiny_parents["left"], tiny_parents["right"]
    recipe = read_recipe(
        f"merge_method: linear\nmodels: [{{model: {left}, parameters: {{weight: 1}}}}, "
        f"{{model: {right}, parameters: {{weight: [{{filter: c_attn, value: 2}}, {{value: 1}}]}}}}]\n"
    )
    order = replace(order, recipe=recipe)
    assert foresee(order).files
    for refuse in (foresee, export):
        with pytest.raises(ExportError, match="leave --strict out"):
            refuse(replace(order, strict=True))


@pytest.mark.parametrize("format_", ["hf", "mergekit"])
def test_a_file_that_would_lie_elsewhere_is_refused_in_every_format(
    order: ExportOrder, tmp_path: Path, format_: Any
) -> None:
    order = replace(order, format=format_, extra_files={"../elsewhere": ""})
    for refuse in (foresee, export):
        with pytest.raises(ExportError, match="is no file name"):
            refuse(order)
    assert not (tmp_path / "elsewhere").exists()
