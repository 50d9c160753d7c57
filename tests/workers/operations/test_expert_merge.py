from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from tests.workers.operations.checkpoints import layout, logits, parent, save_model, weights
from tests.workers.operations.golden_tensors import golden
from workers.errors import CheckpointError, MergeError, MismatchError
from workers.operations.expert_merge import (
    dominant_experts,
    group_experts,
    row_similarity,
    weighted_expert,
)
from workers.operations.expert_merge_models import ROUTING_FILE, merge_experts
from workers.operations.transformer_groups import transformer_blocks
from workers.operations.weight_matching import Group, match_weights
from workers.protocol.transform_orders import Destination, ExpertMergeOrder

CASE = "mcsmoe_expert_merge"
GROUP: Group = (("wi.weight", 0), ("wo.weight", 1))
FREQUENCIES = (0.4, 0.25, 0.2, 0.15)


@pytest.mark.parametrize(("group", "members"), [(0, (0, 2)), (1, (1, 3))])
def test_experts_are_weighted_by_use_as_by_the_authors(group: int, members: tuple[int, ...]) -> None:
    experts = {member: golden(CASE, "inputs", f"expert_{member}") for member in members}
    for name in ("wi.weight", "wo.weight"):
        merged = weighted_expert([experts[m][name] for m in members], [FREQUENCIES[m] for m in members])
        expected = golden(CASE, "expected", "permute0")[f"group{group}.{name}"]
        torch.testing.assert_close(merged, expected, rtol=0, atol=1e-6)


def test_an_expert_is_aligned_with_its_groups_dominant_one_as_by_the_authors() -> None:
    dominant, other = (golden(CASE, "inputs", f"expert_{number}") for number in (0, 2))
    order = golden(CASE, "expected", "perm_expert2_to_0")["perm"]
    found = match_weights(dominant, other, [GROUP], np.random.default_rng(0))
    assert found.permutations[0].tolist() == order.tolist()


def test_the_most_used_experts_lead_and_others_join_the_most_similar() -> None:
    similarity = torch.eye(4)
    similarity[2, 0] = similarity[0, 2] = 0.9
    similarity[3, 1] = similarity[1, 3] = 0.8
    groups = group_experts(torch.tensor(FREQUENCIES), similarity, 2)
    assert groups.tolist() == [0, 1, 0, 1]
    assert dominant_experts(torch.tensor(FREQUENCIES), groups) == [0, 1]
    assert group_experts(torch.tensor(FREQUENCIES), similarity, 4).tolist() == [0, 1, 2, 3]
    assert group_experts(torch.tensor(FREQUENCIES), similarity, 1).tolist() == [0, 0, 0, 0]
    assert group_experts(torch.ones(4), torch.ones(4, 4), 2).tolist() == [0, 1, 0, 0]


def test_routing_that_makes_no_groups_is_refused() -> None:
    with pytest.raises(MergeError, match="ask for 1 to 4"):
        group_experts(torch.ones(4), torch.eye(4), 5)
    with pytest.raises(MergeError, match="have shapes"):
        group_experts(torch.ones(4), torch.eye(3), 2)
    for bad in (float("nan"), -1.0):
        with pytest.raises(MergeError, match="negative frequencies"):
            group_experts(torch.tensor([1.0, bad]), torch.eye(2), 1)
    with pytest.raises(MergeError, match="no text"):
        weighted_expert([torch.ones(2), torch.ones(2)], [0.0, 0.0])


def test_router_rows_that_are_zero_are_similar_to_nothing() -> None:
    found = row_similarity(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 0]]).double())


def routers(folder: Path) -> list[str]:
    return [
        facet.tensors[0]
        for block in transformer_blocks(layout(folder))
        for facet in block.facets
        if block.many_large_units and not facet.inner
    ]


def record_routing(folder: Path, frequencies: tuple[float, ...], similarity: Tensor) -> None:
    recorded = {}
    for router in routers(folder):
        recorded[f"{router.removesuffix('.weight')}.frequency"] = torch.tensor(frequencies)
        recorded[f"{router.removesuffix('.weight')}.similarity"] = similarity.clone()
    save_file(recorded, folder / ROUTING_FILE)


def paired(folder: Path, architecture: str) -> Path:
    """Writes a mixture whose experts 2 and 3 are 0 and 1 with their hidden units in another order."""
    save_model(folder, 0, architecture=architecture)
    tensors = weights(folder)
    for block in transformer_blocks(layout(folder)):
        for facet in block.facets if block.many_large_units else ():
            if facet.inner:
                order = torch.randperm(facet.length, generator=torch.Generator().manual_seed(5))
                for copy in (2, 3):
                    source = tensors[facet.tensors[copy - 2]]
                    tensors[facet.tensors[copy]] = source.index_select(facet.axis, order).contiguous()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    similarity = torch.eye(4) + torch.eye(4).roll(2, 0)
    record_routing(folder, FREQUENCIES, similarity)
    return folder


@pytest.mark.parametrize("architecture", ["mixtral", "qwen2_moe", "qwen3_moe"])
def test_merging_experts_that_are_equal_up_to_their_order_keeps_what_the_model_computes(
    architecture: str, tmp_path: Path
) -> None:
    model = paired(tmp_path / "m", architecture)
    done = merge_experts(
        ExpertMergeOrder(parent(model), Destination(str(tmp_path / "out")), 2, keep="duplicated")
    )
    torch.testing.assert_close(logits(tmp_path / "out"), logits(model), rtol=0, atol=1e-5)
    assert list(json.loads(done.report)["results"].values()) == [[0, 1, 0, 1]] * 2
    assert layout(tmp_path / "out").tensors.keys() == layout(model).tensors.keys()


@pytest.mark.parametrize("architecture", ["mixtral", "qwen2_moe", "qwen3_moe"])
def test_a_reduced_model_has_fewer_experts_and_router_rows_weighted_by_use(
    architecture: str, tmp_path: Path
) -> None:
    model = paired(tmp_path / "m", architecture)
    merge_experts(ExpertMergeOrder(parent(model), Destination(str(tmp_path / "out")), 2))
    before, after = weights(model), weights(tmp_path / "out")
    assert not any(".experts.2." in name or ".experts.3." in name for name in after)
    for router in routers(model):
        rows = before[router]
        expected = torch.stack(
            [(0.4 * rows[0] + 0.2 * rows[2]) / 0.6, (0.25 * rows[1] + 0.15 * rows[3]) / 0.4]
        )
        torch.testing.assert_close(after[router], expected, rtol=0, atol=1e-6)
    for name in after:
        if ".experts." in name:
            torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert loaded.config.num_experts_per_tok == 2
    assert loaded.num_parameters() < AutoModelForCausalLM.from_pretrained(model).num_parameters()
    assert bool(torch.isfinite(logits(tmp_path / "out")).all())


def test_as_many_groups_as_experts_change_nothing(tmp_path: Path) -> None:
    model = save_model(tmp_path / "m", 0, architecture="mixtral")
    record_routing(model, FREQUENCIES, torch.eye(4))
    merge_experts(ExpertMergeOrder(parent(model), Destination(str(tmp_path / "out")), 4, similarity="rows"))
    before, after = weights(model), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    for name, tensor in after.items():
        torch.testing.assert_close(tensor, before[name], rtol=1e-6, atol=1e-6)


def test_fewer_experts_than_are_chosen_per_token_lower_that_number(tmp_path: Path) -> None:
    model = save_model(tmp_path / "m", 0, architecture="mixtral")
    record_routing(model, FREQUENCIES, torch.eye(4))
    merge_experts(ExpertMergeOrder(parent(model), Destination(str(tmp_path / "out")), 1))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["num_local_experts"], config["num_experts_per_tok"]) == (1, 1)
    assert bool(torch.isfinite(logits(tmp_path / "out")).all())


def test_what_cannot_be_merged_is_refused_with_a_remedy_and_nothing_is_written(tmp_path: Path) -> None:
    dense, mixture = (save_model(tmp_path / name, 0, architecture=name) for name in ("llama", "mixtral"))
    place = Destination(str(tmp_path / "out"))
    with pytest.raises(MismatchError, match="no experts with a router"):
        merge_experts(ExpertMergeOrder(parent(dense), place, 2))
    with pytest.raises(CheckpointError, match="evomerge calibrate"):
        merge_experts(ExpertMergeOrder(parent(mixture), place, 2))
    record_routing(mixture, FREQUENCIES, torch.eye(4))
    with pytest.raises(MergeError, match="ask for 1 to 4"):
        merge_experts(ExpertMergeOrder(parent(mixture), place, 5))
    record_routing(mixture, (1.0, 0.0, 0.0, 0.0), torch.eye(4))
    with pytest.raises(MergeError, match="fewer experts"):
        merge_experts(ExpertMergeOrder(parent(mixture), place, 2))
    save_file({"other": torch.ones(1)}, mixture / ROUTING_FILE)
    with pytest.raises(CheckpointError, match="is missing"):
        merge_experts(ExpertMergeOrder(parent(mixture), place, 2))
    assert not (tmp_path / "out").exists()
