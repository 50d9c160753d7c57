"""From texts to a merged checkpoint: calibrate the parents, then merge by what was recorded."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
import torch
from safetensors.torch import load_file

from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from search_spaces.recipes.parent import Parent
from tests.tiny_models import save_tiny_model
from workers.calibration.calibrate import calibrate
from workers.errors import MergeError
from workers.export.export import export
from workers.protocol.calibration_orders import CalibrationOrder, TextsToUse
from workers.protocol.messages import Assignment, ExportOrder, Scored, Workload
from workers.runtime.pipeline import Pipeline

RECIPES = {
    "fisher": "merge_method: fisher\nmodels: [{model: LEFT}, {model: RIGHT}]\n"
    "parameters: {fisher_floor: 1.0e-12, floor: raise_all}\n",
    "gradient_matching": "merge_method: gradient_matching\nbase_model: BASE\n"
    "models: [{model: LEFT}, {model: RIGHT}]\n",
    "regmean": "merge_method: regmean\nmodels: [{model: LEFT}, {model: RIGHT}]\n",
}


@pytest.fixture(params=["llama", "gpt2"])
def parents(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Path]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return {
        name: save_tiny_model(tmp_path / name, seed, architecture=request.param)
        for seed, name in enumerate(("BASE", "LEFT", "RIGHT"))
    }


def merge(method: str, parents: dict[str, Path], folder: Path) -> dict[str, torch.Tensor]:
    text = RECIPES[method]
    for name, path in parents.items():
        text = text.replace(name, str(path))
    export(ExportOrder(read_recipe(text), str(folder)))
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("method", sorted(RECIPES))
def test_calibrated_parents_merge_to_a_checkpoint(
    method: str, parents: dict[str, Path], tmp_path: Path
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"w{i} w{i * 3 % 28} w{i * 5 % 28} w2\n" for i in range(28)))
    for folder in parents.values():
        used = TextsToUse(str(texts), 24, 8)
        calibrate(CalibrationOrder(Parent(model=str(folder)), used, ("fisher", "gram"), device="cpu"))
    merged = merge(method, parents, tmp_path / "merged")
    left, right = (load_file(parents[name] / "model.safetensors") for name in ("LEFT", "RIGHT"))
    assert merged.keys() == left.keys()
    projection = next(name for name in left if name.endswith(("mlp.up_proj.weight", "mlp.c_fc.weight")))
    average = (left[projection] + right[projection]) / 2
    assert bool(torch.isfinite(merged[projection]).all())
    assert float((merged[projection] - average).abs().max()) > 1e-4


@pytest.mark.parametrize("method", sorted(RECIPES))
def test_a_merge_without_records_is_refused_and_leaves_nothing(
    method: str, parents: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(MergeError, match="run `evomerge calibrate"):
        merge(method, parents, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("method", sorted(RECIPES))
def test_a_search_s_worker_finds_the_records_too(
    method: str,
    tiny_parents: dict[str, Path],
    workload: Workload,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVOMERGE_RECORDS", str(tmp_path / "records"))
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"w{i} w{i * 3 % 28} w2\n" for i in range(8)))
    for folder in tiny_parents.values():
        used = TextsToUse(str(texts), 8, 8)
        calibrate(CalibrationOrder(Parent(model=str(folder)), used, ("fisher", "gram"), device="cpu"))
    text = RECIPES[method]
    for name, path in tiny_parents.items():
        text = text.replace(name.upper(), str(path))
    outcome = Pipeline(workload).run(Assignment(uuid4(), 0, read_recipe(text)))
    assert isinstance(outcome, Scored), outcome
