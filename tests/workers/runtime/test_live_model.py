from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from search_spaces import Recipe
from tests.tiny_models import ARCHITECTURES, save_tiny_model
from tests.workers.recipes import linear_recipe, parent_at, stacking_recipe
from workers.checkpoints.architecture.configuration import merged_config
from workers.compatibility.loaded_parents import load_parents
from workers.errors import CheckpointError, MergeError
from workers.export.merge_to_disk import merge_to_disk
from workers.merging.plan import TensorPlan, plan_merge
from workers.protocol.messages import ExportOrder
from workers.runtime.live_model import LiveModel
from workers.runtime.resident_parents import ResidentParents

TOKENS = torch.arange(12)[None]


class Bench:
    """A live model with its parents, as the pipeline has them."""

    def __init__(self, recipe: Recipe) -> None:
        self.layouts = load_parents(recipe)
        self.parents = ResidentParents(self.layouts)
        self.live = LiveModel(self.layouts[recipe.tokenizer_owner])

    def model(self, recipe: Recipe) -> Any:
        plan = plan_merge(recipe, self.layouts)
        config = merged_config(plan.owner, recipe, self.layouts)
        return self.live.overwrite(config, plan, self.parents.sources)

    def logits(self, recipe: Recipe) -> Tensor:
        return logits(self.model(recipe))


@torch.inference_mode()
def logits(model: PreTrainedModel) -> Tensor:
    return torch.as_tensor(model(TOKENS).logits).clone()


def exported_logits(recipe: Recipe, folder: Path) -> Tensor:
    merge_to_disk(ExportOrder(recipe, str(folder)))
    return logits(AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_the_live_model_is_the_model_that_is_exported(
    architecture: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    parents = [
        save_tiny_model(tmp_path / str(seed), seed, architecture=architecture, dtype=dtype) for seed in (1, 2)
    ]
    recipe = linear_recipe(parents, (0.3, 0.7))
    live = Bench(recipe).logits(recipe)
    assert torch.isfinite(live).all()
    assert torch.equal(live, exported_logits(recipe, tmp_path / "merged"))


def test_overwriting_leaves_nothing_of_the_last_candidate(tiny_parents: dict[str, Path]) -> None:
    pair = [tiny_parents["left"], tiny_parents["right"]]
    first, second = linear_recipe(pair, (1.0, 0.2)), linear_recipe(pair, (0.1, 0.8))
    bench = Bench(first)
    one, two, again = bench.logits(first), bench.logits(second), bench.logits(first)
    assert torch.equal(one, again)
    assert not torch.equal(one, two)
    assert torch.equal(two, Bench(second).logits(second))


def test_overwriting_does_not_touch_the_parents(tiny_parents: dict[str, Path]) -> None:
    recipe = linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.5, 0.5))
    bench = Bench(recipe)
    left = parent_at(tiny_parents["left"])
    before = bench.parents.read(left, "lm_head.weight").clone()
    bench.logits(recipe)
    assert torch.equal(before, bench.parents.read(left, "lm_head.weight"))


def test_tied_embeddings_stay_tied(tmp_path: Path) -> None:
    parents = [save_tiny_model(tmp_path / str(seed), seed, architecture="gemma") for seed in (1, 2)]
    recipe = linear_recipe(parents, (0.5, 0.5))
    model = Bench(recipe).model(recipe)
    assert model.get_input_embeddings().weight.data_ptr() == model.get_output_embeddings().weight.data_ptr()


def test_a_stack_of_layers_gets_a_network_of_its_depth(tiny_parents: dict[str, Path], tmp_path: Path) -> None:
    left, right = tiny_parents["left"], tiny_parents["right"]
    deep = stacking_recipe((left, 0), (right, 0), (left, 1), (right, 1), (left, 1))
    flat = linear_recipe([left, right], (0.5, 0.5))
    bench = Bench(deep)
    before = bench.logits(deep)
    assert torch.equal(before, exported_logits(deep, tmp_path / "deep"))
    assert torch.equal(bench.logits(flat), exported_logits(flat, tmp_path / "flat"))
    assert torch.equal(before, bench.logits(deep))


def test_a_network_that_is_not_wholly_written_is_refused(tiny_parents: dict[str, Path]) -> None:
    recipe = linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.5, 0.5))
    bench = Bench(recipe)
    plan = plan_merge(recipe, bench.layouts)
    config = merged_config(plan.owner, recipe, bench.layouts)

    def overwrite(*tensors: TensorPlan) -> None:
        bench.live.overwrite(config, replace(plan, tensors=tensors), bench.parents.sources)

    some = [tensor for tensor in plan.tensors if tensor.name != "model.norm.weight"]
    (norm,) = (tensor for tensor in plan.tensors if tensor not in some)
    with pytest.raises(MergeError, match=r"model\.norm\.weight: is in the network and not in the checkpoint"):
        overwrite(*some)
    with pytest.raises(MergeError, match="has no such tensor"):
        overwrite(*some, replace(norm, name="model.unheard_of.weight"))
    with pytest.raises(MergeError, match="has shape"):
        overwrite(*some, replace(norm, shape=(3,)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_parents_with_broken_weights_are_refused_by_name(value: float, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "broken", 0)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.model.layers[1].mlp.up_proj.weight.data[3, 4] = value
    model.save_pretrained(folder)
    layouts = load_parents(linear_recipe([folder], (1.0,)))
    with pytest.raises(CheckpointError, match=r"layers\.1\.mlp\.up_proj\.weight' holds 1 values") as caught:
        ResidentParents(layouts)
    assert caught.value.field == str(folder)
