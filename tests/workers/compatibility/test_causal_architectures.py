"""Every causal architecture of transformers, merged, stacked, loaded and compared; or refused with a reason.

What a model must answer is found without the engine: from averaged state dicts, and by calling the
parents' own layers one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from search_spaces import Recipe
from tests.workers.causal_models import NOT_BUILT, causal_types, save_causal_model, tiny_causal_model
from tests.workers.composing import composed_logits, rearranged_logits
from tests.workers.recipes import linear_recipe, stacking_recipe
from tests.workers.runtime.test_live_model import Bench
from workers.checkpoints.architecture.configuration import merged_config
from workers.checkpoints.architecture.layer_numbers import NUMBERED
from workers.compatibility.loaded_parents import load_parents
from workers.errors import PreparationError, WorkerError
from workers.export.merge_to_disk import merge_to_disk
from workers.merging.plan import plan_merge
from workers.protocol.messages import ExportOrder

TOKENS = torch.tensor([[5, 9, 13, 20, 7, 11, 30, 6]])
Order = Sequence[tuple[str, int]]
GENTLE: Order = (("left", 0), ("right", 3), ("left", 2), ("right", 1), ("left", 2), ("left", 3))
"""Re-ordered and repeated, and yet the first is a first layer, and kinds that alternate still do."""
PERMUTED: Order = (("left", 0), ("left", 3), ("right", 2), ("left", 1))
WILD: Order = (("left", 3), ("left", 0), ("right", 0), ("right", 1), ("left", 2))

SAMPLE = (
    "bamba", "bart", "deepseek_v3", "diffllama", "ernie4_5_moe", "falcon_h1", "gemma3_text", "gpt_neo",
    "jamba", "lfm2_moe", "llama", "llama4_text", "mamba2", "qwen3_5", "qwen3_moe", "recurrent_gemma",
)  # fmt: skip
_TABLE = "gives each layer the part of its embeddings with the layer's number"
NOT_STACKED: Mapping[str, str] = {
    **NUMBERED,
    "gemma3n_text": _TABLE,
    "gemma4": _TABLE,
    "gemma4_text": _TABLE,
    "gpt_neox_japanese": "'attention.dense_bias' would have no place",  # the last layer alone has it
    "hrm_text": "promises 32 layers",  # two stacks that are run in turns
    "minicpm3": "residual_scale would be",  # follows from the depth
    "minimax": "num_hidden_layers would be",  # decays follow from the depth
    "xlm": "lie in several lists",
    "zamba": "share their",
    "zamba2": "share their",
}
"""GENTLE is refused, and what the error says."""
NOT_MERGED: Mapping[str, str] = {
    "hrm_text": "promises 32 layers",
}
"""Not even whole models are merged, and what the error says."""
NOT_LIVE: Mapping[str, str] = {
    "inkling2_text": "keeps it in another form than checkpoints do",
}
"""Merged to disk, but not in memory, and what the error says."""
REARRANGED = ("cpmant", "reformer")
"""Compared with their own loop over re-ordered layers: all layers share a table of positions that lies
outside them, or are called in pairs of streams."""


_INFINITY = {"__float__": "Infinity"}  # as transformers writes it


def _models(folder: Path, model_type: str) -> dict[str, Path]:
    return {
        name: save_causal_model(folder / name, model_type, seed)
        for seed, name in enumerate(("left", "right"))
    }


def _loaded(folder: Path) -> Any:
    """Returns the model as anyone loads it; all of its weights are there, and no others."""
    found: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    model, report = found
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    return model.eval()


@torch.no_grad()
def _logits(model: Any) -> Tensor:
    return torch.as_tensor(model(input_ids=TOKENS, use_cache=False).logits)


def _average(model_type: str, models: Mapping[str, Any]) -> Tensor:
    mean = tiny_causal_model(model_type, 0)
    left, right = (model.state_dict() for model in models.values())
    halves = {n: (t + right[n]) / 2 if t.is_floating_point() else t for n, t in left.items()}
    mean.load_state_dict(halves)
    return _logits(mean)


def _stack(parents: Mapping[str, Path], order: Order) -> Recipe:
    return stacking_recipe(*((parents[name], layer) for name, layer in order))


def _stacked(model_type: str, models: Mapping[str, Any], order: Order) -> Tensor:
    reference = rearranged_logits if model_type in REARRANGED else composed_logits
    return reference(models, order, TOKENS)


def _check(recipe: Recipe, folder: Path, expected: Callable[[], Tensor], *, live: str | None) -> None:
    """Exports the recipe and makes it in memory; both must answer as expected."""
    merge_to_disk(ExportOrder(recipe, str(folder)))
    model = _loaded(folder)
    right = expected()
    assert right.std() > 0.01
    torch.testing.assert_close(_logits(model), right, atol=1e-4, rtol=0.0)
    if live is None:
        torch.testing.assert_close(_logits(Bench(recipe).model(recipe)), right, atol=1e-4, rtol=0.0)
    else:
        with pytest.raises(PreparationError, match=live):
            Bench(recipe).model(recipe)


def _check_refused(recipe: Recipe, folder: Path, reason: str) -> None:
    """Refused on disk, before anything is written, and in memory."""
    with pytest.raises(WorkerError, match=reason):
        merge_to_disk(ExportOrder(recipe, str(folder)))
    assert not folder.exists()
    with pytest.raises(WorkerError, match=reason):
        Bench(recipe).model(recipe)


def _check_architecture(model_type: str, folder: Path) -> None:
    parents = _models(folder, model_type)
    models = {name: _loaded(path) for name, path in parents.items()}
    halves = linear_recipe(list(parents.values()), (0.5, 0.5))
    live = NOT_LIVE.get(model_type)
    if model_type in NOT_MERGED:
        _check_refused(halves, folder / "mean", NOT_MERGED[model_type])
    else:
        _check(halves, folder / "mean", lambda: _average(model_type, models), live=live)
    gentle = _stack(parents, GENTLE)
    if model_type in NOT_STACKED:
        _check_refused(gentle, folder / "gentle", NOT_STACKED[model_type])
    else:
        _check(gentle, folder / "gentle", lambda: _stacked(model_type, models, GENTLE), live=live)
    for name, order in (("permuted", PERMUTED), ("wild", WILD)):
        try:
            merge_to_disk(ExportOrder(_stack(parents, order), str(folder / name)))
        except WorkerError:
            continue  # many architectures cannot say it; what is written must be right
        right = _stacked(model_type, models, order)
        torch.testing.assert_close(_logits(_loaded(folder / name)), right, atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("model_type", SAMPLE)
def test_merges_and_stacks_of_a_sample_of_architectures_are_right_or_refused(
    model_type: str, tmp_path: Path
) -> None:
    _check_architecture(model_type, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", [t for t in causal_types() if t not in NOT_BUILT and t not in SAMPLE])
def test_merges_and_stacks_of_every_causal_architecture_are_right_or_refused(
    model_type: str, tmp_path: Path
) -> None:
    _check_architecture(model_type, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", sorted(NOT_BUILT))
def test_architectures_that_are_left_out_cannot_be_built_small(model_type: str, tmp_path: Path) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - anything: it shows that the list is not stale
        _loaded(save_causal_model(tmp_path / "left", model_type, 0))


def test_the_lists_of_exceptions_name_architectures_that_there_are() -> None:
    known = set(causal_types())
    for listed in (SAMPLE, NOT_BUILT, NOT_STACKED, NOT_MERGED, NOT_LIVE, REARRANGED):
        assert set(listed) <= known
    assert not set(NOT_BUILT) & {*SAMPLE, *NOT_STACKED, *NOT_MERGED, *NOT_LIVE}


def test_a_layer_that_uses_its_number_is_another_layer_elsewhere(tmp_path: Path) -> None:
    """What the refusal is for: with the list emptied, the weights alone would be another model."""
    model = tiny_causal_model("diffllama", 0)
    right = composed_logits({"left": model}, [("left", n) for n in (0, 2, 1, 3)], TOKENS)
    weights = model.state_dict()
    swapped = {"layers.1.": "layers.2.", "layers.2.": "layers.1."}

    def elsewhere(name: str) -> str:
        found = next((part for part in swapped if part in name), None)
        return name if found is None else name.replace(found, swapped[found])

    model.load_state_dict({name: weights[elsewhere(name)] for name in weights})
    assert (_logits(model) - right).abs().max() > 1e-3


def test_gpt2_that_scales_by_the_layers_number_is_not_stacked(tmp_path: Path) -> None:
    parent = save_causal_model(tmp_path / "left", "gpt2", 0, scale_attn_by_inverse_layer_idx=True)
    recipe = stacking_recipe((parent, 1), (parent, 0))
    _check_refused(recipe, tmp_path / "stack", "scales its attention by the layer's number")
    _check(
        stacking_recipe((parent, 0), (parent, 1)),
        tmp_path / "shorter",
        lambda: composed_logits({"left": _loaded(parent)}, [("left", 0), ("left", 1)], TOKENS),
        live=None,
    )


def _config_of(parent: Path, *layers: int) -> dict[str, Any]:
    recipe = stacking_recipe(*((parent, layer) for layer in layers))
    layouts = load_parents(recipe)
    return merged_config(plan_merge(recipe, layouts).owner, recipe, layouts)


@pytest.mark.parametrize(
    ("model_type", "options", "layers", "expected"),
    [
        ("qwen3_moe", {"mlp_only_layers": [1]}, (1, 0, 1), {"mlp_only_layers": [0, 2]}),
        ("qwen3_moe", {"mlp_only_layers": [0, 1, 2, 3]}, (3, 2, 1, 0), {"mlp_only_layers": [0, 1, 2, 3]}),
        (
            "qwen2_moe",
            {"mlp_only_layers": [], "decoder_sparse_step": 2},
            (1, 1, 0),
            {"mlp_only_layers": [2], "decoder_sparse_step": 1},
        ),
        ("deepseek_v3", {"first_k_dense_replace": 2}, (1, 0, 1, 3), {"first_k_dense_replace": 3}),
        ("dots1", {"first_k_dense_replace": 2}, (0, 2, 2, 3), {"first_k_dense_replace": 1}),
        ("afmoe", {"num_dense_layers": 2}, (0, 1, 1, 3), {"num_dense_layers": 3}),
        (
            "ernie4_5_moe",
            {"moe_layer_start_index": 1, "moe_layer_end_index": 2},
            (0, 1, 2, 1, 2, 3),
            {"moe_layer_start_index": 1, "moe_layer_end_index": 4},
        ),
        ("bamba", {"attn_layer_indices": [1]}, (1, 0, 1), {"attn_layer_indices": [0, 2]}),
        (
            "jamba",
            {"attn_layer_period": 4, "attn_layer_offset": 1, "expert_layer_offset": 0},
            (0, 1, 2, 1, 2, 1),
            {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2},
        ),
        ("recurrent_gemma", {}, (1, 0, 0), {"block_types": ["attention", "recurrent", "recurrent"]}),
        ("gpt_neo", {}, (1, 0, 0), {"attention_types": [[["local", "global", "global"], 1]]}),
        ("llama4_text", {}, (3, 0, 1), {"moe_layers": [0, 2], "no_rope_layers": [0, 1, 1]}),
        ("nemotron_h", {}, (1, 0), {"layers_block_type": ["full_attention", "linear_attention"]}),
        ("llama", {"eos_token_id": [2, 3, 4, 5]}, (3, 0, 1), {"eos_token_id": [2, 3, 4, 5]}),
        ("mamba2", {"num_hidden_layers": 2}, (1, 0, 0), {"time_step_limit": [0.0, _INFINITY]}),
        ("bart", {}, (1, 0, 2, 3, 3), {"decoder_layers": 5, "encoder_layers": 5}),
    ],
)
def test_a_stacks_configuration_follows_its_layers(
    model_type: str,
    options: dict[str, Any],
    layers: tuple[int, ...],
    expected: dict[str, Any],
    tmp_path: Path,
) -> None:
    config = _config_of(save_causal_model(tmp_path, model_type, 0, **options), *layers)
    assert {key: config[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("model_type", "layers", "said"),
    [
        ("deepseek_v3", (1, 0), "first_k_dense_replace cannot say it"),
        ("jamba", (0, 0, 1, 1), "attn_layer_period"),
        ("ernie4_5_moe", (1, 0, 2, 3), "moe_layer_start_index cannot say it"),
        ("hy_v4", (2, 0), "takes over what a layer before it found"),
        ("xlm", (0, 3, 2, 1), "lie in several lists"),
    ],
)
def test_a_stack_that_its_configuration_cannot_say_is_refused(
    model_type: str, layers: tuple[int, ...], said: str, tmp_path: Path
) -> None:
    parent = save_causal_model(tmp_path / "left", model_type, 0)
    recipe = stacking_recipe(*((parent, layer) for layer in layers))
    _check_refused(recipe, tmp_path / "stack", said)
