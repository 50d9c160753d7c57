"""The language model inside a model that also sees: it alone is merged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from tests.seeing_models import SEEING_KINDS, save_seeing
from tests.tiny_models import save_tiny_model
from tests.workers.recipes import linear_recipe
from workers.compatibility.loaded_parents import load_parents
from workers.compatibility.preflight import preflight_recipe
from workers.errors import MismatchError
from workers.export.merge_to_disk import merge_to_disk
from workers.merging.plan import plan_merge
from workers.protocol.messages import ExportOrder


@pytest.fixture(params=SEEING_KINDS)
def models(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Path]:
    """Two models that see and one that only reads, of one kind."""
    kind = str(request.param)
    return {
        "seeing": save_seeing(tmp_path / "seeing", 1, kind),
        "other": save_seeing(tmp_path / "other", 2, kind),
        "reading": save_tiny_model(tmp_path / "reading", 3, architecture=kind.split()[0]),
    }


def average(folder: Path, *parents: Path) -> Path:
    """Averages models as a recipe; the first owns the tokenizer.  The preflight sees nothing against it."""
    content = {
        "merge_method": "linear",
        "models": [{"model": str(parent), "parameters": {"weight": 0.5}} for parent in parents],
    }
    recipe = read_recipe(json.dumps(content))
    assert preflight_recipe(recipe).refusals == ()
    return Path(merge_to_disk(ExportOrder(recipe, str(folder))).folder)


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def role(name: str) -> str:
    """What a tensor of the language part is called in every model."""
    return name.removeprefix("language_model.").removeprefix("model.")


def is_language(name: str) -> bool:
    return not any(part in name for part in ("vision", "visual", "projector"))


def language(folder: Path) -> dict[str, Tensor]:
    return {role(name): tensor for name, tensor in weights(folder).items() if is_language(name)}


def test_a_text_model_takes_the_language_part_of_one_that_sees(
    models: dict[str, Path], tmp_path: Path
) -> None:
    merged = average(tmp_path / "merged", models["reading"], models["seeing"])
    mine, theirs = language(models["reading"]), language(models["seeing"])
    for name, tensor in language(merged).items():
        torch.testing.assert_close(tensor, (mine[name] + theirs[name]) / 2)
    assert weights(merged).keys() == weights(models["reading"]).keys()
    loaded: Any = AutoModelForCausalLM.from_pretrained(merged, output_loading_info=True)
    _, report = loaded
    assert not report["missing_keys"] | report["unexpected_keys"]


@pytest.mark.parametrize("second", ["reading", "other"])
def test_a_model_that_sees_keeps_its_eyes(second: str, models: dict[str, Path], tmp_path: Path) -> None:
    merged = average(tmp_path / "merged", models["seeing"], models[second])
    found, owner, others = weights(merged), weights(models["seeing"]), language(models[second])
    assert found.keys() == owner.keys()
    for name, tensor in found.items():
        if is_language(name):
            torch.testing.assert_close(tensor, (owner[name] + others[role(name)]) / 2)
        else:
            assert torch.equal(tensor, owner[name])
    loaded: Any = AutoModelForImageTextToText.from_pretrained(merged, output_loading_info=True)
    _, report = loaded
    assert not report["missing_keys"] | report["unexpected_keys"]


def test_preflight_says_whose_vision_tower_is_taken(models: dict[str, Path]) -> None:
    for parents, told in (
        (("seeing", "reading"), "become the merged model's"),
        (("reading", "seeing"), "the merged model does not"),
    ):
        listed = [{"model": str(models[name]), "parameters": {"weight": 0.5}} for name in parents]
        recipe = read_recipe(json.dumps({"merge_method": "linear", "models": listed}))
        warnings = [
            warning
            for warning in preflight_recipe(recipe).warnings
            if "vision" in f"{warning}" or "sees" in warning.detail
        ]
        assert [warning.field for warning in warnings] == [str(models["seeing"])]
        assert told in warnings[0].detail


def test_a_language_part_of_another_size_is_refused(tmp_path: Path) -> None:
    seeing = save_seeing(tmp_path / "seeing", 1, "llama")
    with pytest.raises(MismatchError):
        average_unchecked(
            tmp_path / "merged", seeing, save_tiny_model(tmp_path / "gpt2", 2, architecture="gpt2")
        )
    assert not (tmp_path / "merged").exists()


def average_unchecked(folder: Path, *parents: Path) -> None:
    models = [{"model": str(parent), "parameters": {"weight": 0.5}} for parent in parents]
    recipe = read_recipe(json.dumps({"merge_method": "linear", "models": models}))
    assert preflight_recipe(recipe).refusals
    merge_to_disk(ExportOrder(recipe, str(folder)))


def _nested(key: str, text: object) -> dict[str, object]:
    return {key: {"text_config": text} if key == "thinker_config" else text}


@pytest.mark.parametrize("key", ["llm_config", "language_config", "thinker_config"])
def test_the_eyes_of_a_model_that_transformers_does_not_know_are_the_owners(key: str, tmp_path: Path) -> None:
    parents = [save_seeing(tmp_path / str(seed), seed, "llama") for seed in (1, 2)]
    for parent in parents:
        path = parent / "config.json"
        content = json.loads(path.read_text())
        text = content.pop("text_config")
        path.write_text(json.dumps(content | _nested(key, text) | {"model_type": "seen_nowhere"}))
    recipe = linear_recipe(parents, (0.5, 0.5))
    plan = plan_merge(recipe, load_parents(recipe))
    assert plan.layers == 2
    assert {plan.name for plan in plan.tensors if plan.kernel is None} == {
        name for name in weights(parents[0]) if not is_language(name)
    }
    assert {str(item.parent) for each in plan.tensors if each.kernel is None for item in each.inputs} == {
        str(parents[0])
    }
