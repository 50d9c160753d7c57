"""Every architecture by its own tensor names: merged on disk and in memory as by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from search_spaces import Parent, Recipe, Slice, Source
from search_spaces.recipes.settings import constant
from tests.tiny_models import ARCHITECTURES, save_tiny_model
from tests.workers.recipes import linear_recipe, parent_at, stacking_recipe
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import ExportOrder

TOKENS = torch.tensor([[1, 7, 12, 30, 5, 9], [1, 4, 4, 28, 11, 2]])
KINDS = sorted(ARCHITECTURES)


@pytest.fixture(params=KINDS)
def family(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Path]:
    """A base and two models near it, of one architecture."""
    kind = str(request.param)
    return {
        name: save_tiny_model(tmp_path / name, seed, architecture=kind)
        for seed, name in enumerate(("base", "left", "right"))
    }


def merged(recipe: Recipe, folder: Path) -> Path:
    return Path(merge_to_disk(ExportOrder(recipe=recipe, folder=str(folder))).folder)


def logits(folder: Path) -> Tensor:
    loaded: Any = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    model, report = loaded
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    with torch.no_grad():
        found: Tensor = model.eval()(TOKENS).logits
    return found


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def logits_of(state: Mapping[str, Tensor], like: Path) -> Tensor:
    """Returns what a model like the one in a folder says with other weights, put in by transformers."""
    model = AutoModelForCausalLM.from_pretrained(like, state_dict=None)
    with torch.no_grad():
        for name, parameter in model.state_dict(keep_vars=True).items():
            parameter.copy_(state[name])
        found: Tensor = model.eval()(TOKENS).logits
    return found


def average_in_memory(folders: list[Path]) -> dict[str, Tensor]:
    """Averages what transformers loads, in the names of its modules: independent of ours."""
    states = [AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in folders]
    return {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}


def test_an_average_on_disk_is_the_average_of_what_transformers_loads(
    family: dict[str, Path], tmp_path: Path
) -> None:
    parents = [family["left"], family["right"]]
    found = logits(merged(linear_recipe(parents, [0.5, 0.5]), tmp_path / "merged"))
    expected = logits_of(average_in_memory(parents), family["left"])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found, logits(family["left"]), atol=1e-4)


def ties(base: Path, parents: list[Path]) -> Recipe:
    parameters = {"weight": constant(1.0), "density": constant(0.5)}
    sources = tuple(Source(parent=parent_at(folder), parameters=parameters) for folder in parents)
    return Recipe(method="ties", slices=(Slice(sources=sources),), base=parent_at(base))


def ties_by_hand(base: Tensor, parents: list[Tensor]) -> Tensor:
    """Trims each task vector to its larger half, elects signs by mass, and averages those that agree."""
    deltas = []
    for parent in parents:
        delta = (parent - base).reshape(-1)
        kept = torch.zeros_like(delta)
        best = delta.abs().topk(int(delta.numel() * 0.5)).indices
        kept[best] = delta[best]
        deltas.append(kept)
    stacked = torch.stack(deltas)
    sign = torch.where(stacked.sum(0) >= 0, 1.0, -1.0)
    agreeing = torch.where(torch.sign(stacked) == sign, stacked, 0.0)
    count = (agreeing != 0).sum(0).clamp(min=1)
    return base + (agreeing.sum(0) / count).reshape(base.shape)


def test_ties_on_disk_is_ties_by_hand_under_the_checkpoints_own_names(
    family: dict[str, Path], tmp_path: Path
) -> None:
    parents = [family["left"], family["right"]]
    folder = merged(ties(family["base"], parents), tmp_path / "merged")
    found, base, others = weights(folder), weights(family["base"]), [weights(p) for p in parents]
    assert found.keys() == base.keys()
    for name, tensor in found.items():
        expected = ties_by_hand(base[name], [other[name] for other in others])
        torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-6, msg=name)
    assert bool(torch.isfinite(logits(folder)).all())


def test_layers_are_stacked_and_the_deeper_model_loads(family: dict[str, Path], tmp_path: Path) -> None:
    recipe = stacking_recipe((family["left"], 0), (family["right"], 0), (family["left"], 1))
    folder = merged(recipe, tmp_path / "stack")
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.num_hidden_layers == 3
    kinds = getattr(model.config, "layer_types", None)
    if kinds is not None:
        whole = AutoModelForCausalLM.from_pretrained(family["left"]).config.layer_types
        assert kinds == [whole[0], whole[0], whole[1]]
    assert bool(torch.isfinite(logits(folder)).all())


def test_a_parent_taken_as_it_is_says_what_it_said(family: dict[str, Path], tmp_path: Path) -> None:
    source = Source(parent=Parent(model=str(family["left"])))
    recipe = Recipe(method="passthrough", slices=(Slice(sources=(source,)),))
    assert torch.equal(logits(merged(recipe, tmp_path / "same")), logits(family["left"]))
