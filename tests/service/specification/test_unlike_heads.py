"""Parents of which one ties its embeddings and one does not are searched: their merges have a head."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, InternVLConfig

from search_spaces import Recipe
from search_spaces.genome import initial_genome
from service.specification.planning import build_space_for
from service.specification.spec_check import check_spec
from tests.tiny_models import ARCHITECTURES, save_perturbed, save_tiny_model
from tests.workforces import inline_pool
from workers.export.merge_to_disk import merge_to_disk
from workers.pools.inline_pool import InlinePool
from workers.protocol.messages import ExportOrder, Workload
from workers.runtime.in_place_merger import InPlaceMerger
from workers.runtime.preparation import prepare_workload

__all__ = ["inline_pool"]

EYES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": [32, 32],
    "patch_size": [8, 8],
}
TOKENS = torch.arange(8, 20)[None]


def save_tied(folder: Path, *, sees: bool) -> tuple[Path, Any]:
    torch.manual_seed(1)
    text = ARCHITECTURES["qwen2"].to_dict() | {"tie_word_embeddings": True}
    if not sees:
        model: Any = AutoModelForCausalLM.from_config(type(ARCHITECTURES["qwen2"])(**text))
        return save_perturbed(model, folder, 0.05), AutoModelForCausalLM
    config = InternVLConfig(
        text_config=text, vision_config=EYES, image_token_id=6, image_seq_length=4, downsample_ratio=0.5
    )
    model = AutoModelForImageTextToText.from_config(config)
    return save_perturbed(model, folder, 0.05), AutoModelForImageTextToText


@torch.inference_mode()
def logits(model: Any) -> Tensor:
    return torch.as_tensor(model(TOKENS).logits).clone()


@pytest.mark.parametrize("sees", [False, True])
def test_merges_of_both_kinds_have_a_head_of_their_own(
    sees: bool, word_task: Path, tmp_path: Path, inline_pool: InlinePool
) -> None:
    tied, loader = save_tied(tmp_path / "tied", sees=sees)
    untied = save_tiny_model(tmp_path / "untied", 2, architecture="qwen2")
    spec = {
        "name": "heads",
        "parents": [str(tied), str(untied)],
        "tasks_path": str(word_task),
        "space": {"kind": "parameter", "method": "linear"},
        "objectives": [{"task": "words", "allow_few_items": True}],
        "budget": {"candidates": 10},
    }
    checked = check_spec(spec, inline_pool)
    assert any(text.startswith("heads: ") for text in checked.warnings)
    recipes = [Recipe.model_validate(each["recipe"]) for each in checked.facts["baselines"]]
    # A parent that only reads is asked inside the one that sees, and then it is a merge of both kinds.
    assert [recipe.untie_embeddings for recipe in recipes[:3]] == [False, sees, True]
    space = build_space_for(checked.spec, checked.facts)
    start = initial_genome(space.variables)
    recipe = space.decode(start)
    assert isinstance(recipe, Recipe)
    assert recipe.untie_embeddings
    assert space.encode(recipe) == start
    merger = InPlaceMerger(prepare_workload(Workload(uuid4(), checked.spec.all_parents, ())))
    assert torch.isfinite(logits(merger.merge(recipes[0])[0])).all()
    found = logits(merger.merge(recipe)[0])
    merge_to_disk(ExportOrder(recipe, str(tmp_path / "merged")))
    written = loader.from_pretrained(tmp_path / "merged", dtype="auto").eval()
    assert torch.equal(found, logits(written))
    assert not torch.equal(written.lm_head.weight, written.get_input_embeddings().weight)
