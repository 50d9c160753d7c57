"""Models that see, live: their language part is merged in place, their eyes are one parent's."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText

from evaluators import Benchmark
from search_spaces import Recipe
from tests.seeing_models import SEEING_KINDS, save_seeing
from tests.tiny_models import save_tiny_model, write_word_task
from tests.workers.recipes import linear_recipe, parent_at
from workers.errors import MismatchError
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import ExportOrder, Workload
from workers.runtime.in_place_merger import InPlaceMerger
from workers.runtime.preparation import prepare_workload

TOKENS = torch.arange(8, 20)[None]


def live_model(recipe: Recipe, tasks: Path) -> Any:
    benchmark = Benchmark(name="words", task="words", include_path=str(write_word_task(tasks)))
    prepared = prepare_workload(Workload(uuid4(), recipe.all_parents, (benchmark,)))
    return InPlaceMerger(prepared).merge(recipe)[0]


def exported(recipe: Recipe, folder: Path) -> Any:
    merge_to_disk(ExportOrder(recipe, str(folder)))
    loaded: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto", output_loading_info=True)
    model, report = loaded
    assert not report["missing_keys"] | report["unexpected_keys"]
    return model.eval()


@torch.inference_mode()
def logits(model: Any) -> Tensor:
    return torch.as_tensor(model(TOKENS).logits)


@pytest.mark.parametrize("second", ["seeing", "reading"])
@pytest.mark.parametrize("kind", SEEING_KINDS)
def test_the_live_model_sees_as_the_exported_one(kind: str, second: str, tmp_path: Path) -> None:
    first = save_seeing(tmp_path / "first", 1, kind)
    other = tmp_path / "second"
    if second == "seeing":
        save_seeing(other, 2, kind)
    else:
        save_tiny_model(other, 2, architecture=kind.split()[0])
    recipe = linear_recipe([first, other], (0.3, 0.7))
    live, written = live_model(recipe, tmp_path / "tasks"), exported(recipe, tmp_path / "merged")
    assert type(live) is type(written)
    assert all(torch.equal(tensor, live.state_dict()[name]) for name, tensor in written.state_dict().items())
    assert torch.equal(logits(live), logits(written))


def test_a_reader_that_comes_first_is_merged_into_the_parent_that_sees(tmp_path: Path) -> None:
    reading = save_tiny_model(tmp_path / "reading", 1)
    seeing = save_seeing(tmp_path / "seeing", 2, "llama")
    recipe = linear_recipe([reading, seeing], (0.5, 0.5)).model_copy(update={"tokenizer": parent_at(seeing)})
    live, written = live_model(recipe, tmp_path / "tasks"), exported(recipe, tmp_path / "merged")
    assert torch.equal(logits(live), logits(written))


def test_the_eyes_of_another_parent_can_be_taken(tmp_path: Path) -> None:
    first, second = (save_seeing(tmp_path / str(seed), seed, "llama") for seed in (1, 2))
    recipe = linear_recipe([first, second], (0.5, 0.5))
    crossed = recipe.model_copy(update={"vision": parent_at(second)})
    own: Any = AutoModelForImageTextToText.from_pretrained(second)
    live, written = live_model(crossed, tmp_path / "tasks"), exported(crossed, tmp_path / "merged")
    plain = exported(recipe, tmp_path / "plain")
    for model in (live, written):
        for name, tensor in own.state_dict().items():
            if "vision_tower" in name or "projector" in name:
                assert torch.equal(model.state_dict()[name], tensor)
            else:
                assert torch.equal(model.state_dict()[name], plain.state_dict()[name])
    assert crossed.digest != recipe.digest


def test_eyes_of_another_shape_are_refused(tmp_path: Path) -> None:
    first, second = save_seeing(tmp_path / "a", 1, "llama"), save_seeing(tmp_path / "b", 2, "llama", patch=2)
    recipe = linear_recipe([first, second], (0.5, 0.5))
    with pytest.raises(MismatchError, match=r"vision_config\.patch_size"):
        exported(recipe.model_copy(update={"vision": parent_at(second)}), tmp_path / "merged")
    reading = save_tiny_model(tmp_path / "reading", 1)
    blind = linear_recipe([first, reading], (0.5, 0.5)).model_copy(update={"vision": parent_at(reading)})
    with pytest.raises(MismatchError, match="no vision tower"):
        exported(blind, tmp_path / "merged")
