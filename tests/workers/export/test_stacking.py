"""Stacked models: the searched one, the exported one, and what stock transformers makes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from search_spaces import Recipe, Slice, Source
from search_spaces.recipes.settings import constant
from tests.tiny_models import save_tiny_model
from tests.workers.recipes import parent_at, stacking_recipe
from tests.workers.runtime.test_live_model import Bench
from workers.checkpoints.architecture.foldable import RULES
from workers.errors import MergeError, MismatchError
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import ExportOrder

SERVED = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gpt2")  # what must hold whatever else does
ALSO = ("gemma", "gemma3", "phi3", "gpt_neox", "mixtral", "qwen2_moe", "qwen3_moe")
TOKENS = torch.tensor([[5, 9, 14, 3, 22, 17, 8, 30, 11, 6, 27, 19]])
SCALES = (1.0, 0.6, 1.0, 1.9, 0.7, 1.3)


@dataclass(frozen=True)
class Answer:
    """A model's logits, and how it goes on from the tokens."""

    logits: Tensor
    continued: Tensor


@torch.inference_mode()
def answer(model: Any) -> Answer:
    model.generation_config.eos_token_id = None
    continued = model.generate(TOKENS, max_new_tokens=12, do_sample=False, pad_token_id=0, use_cache=True)
    return Answer(torch.as_tensor(model(TOKENS).logits).clone(), continued.clone())


def exported(recipe: Recipe, folder: Path) -> Any:
    """Writes the recipe's checkpoint and loads it as anyone would."""
    merge_to_disk(ExportOrder(recipe, str(folder)))
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto", trust_remote_code=False).eval()


def pair_of(architecture: str, folder: Path, **options: Any) -> tuple[Path, Path]:
    """Two parents whose hidden states are about as large as those of trained models."""
    left, right = (
        save_tiny_model(folder / str(seed), seed, architecture=architecture, spread=6.0, **options)
        for seed in (1, 2)
    )
    return left, right


def scaled(recipe: Recipe, scales: Sequence[float]) -> Recipe:
    slices = tuple(
        part.model_copy(update={"input_scale": scale})
        for part, scale in zip(recipe.slices, scales, strict=True)
    )
    return Recipe.model_validate(recipe.model_copy(update={"slices": slices}).model_dump())


def stack_of(pair: tuple[Path, Path]) -> Recipe:
    """Layers that come again, from both parents, with scales."""
    left, right = pair
    order = ((left, 0), (right, 1), (right, 1), (left, 0), (right, 1), (left, 1))
    return scaled(stacking_recipe(*order), SCALES)


@pytest.mark.parametrize("architecture", [*SERVED, *ALSO])
def test_searched_and_exported_model_answer_alike(architecture: str, tmp_path: Path) -> None:
    recipe = stack_of(pair_of(architecture, tmp_path))
    searched = answer(Bench(recipe).model(recipe))
    stock = answer(exported(recipe, tmp_path / "stack"))
    assert searched.logits.std() > 0.05
    torch.testing.assert_close(stock.logits, searched.logits, atol=1e-4, rtol=0.0)
    assert torch.equal(stock.continued, searched.continued)
    unscaled = stack_of_ones(recipe)
    assert not torch.allclose(answer(Bench(unscaled).model(unscaled)).logits, searched.logits, atol=1e-2)


def stack_of_ones(recipe: Recipe) -> Recipe:
    return scaled(recipe, [1.0] * len(recipe.slices))


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt2"])
def test_a_cache_changes_nothing_about_repeated_layers(architecture: str, tmp_path: Path) -> None:
    recipe = stack_of(pair_of(architecture, tmp_path))
    model = Bench(recipe).model(recipe)
    model.generation_config.eos_token_id = None
    options = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}
    with torch.inference_mode():
        cached, plain = (model.generate(TOKENS, use_cache=use, **options) for use in (True, False))
    assert torch.equal(cached, plain)


def test_layers_that_come_again_lie_in_memory_once(tmp_path: Path) -> None:
    pair = pair_of("llama", tmp_path)
    recipe = stack_of(pair)
    layers = Bench(recipe).model(recipe).model.layers
    at = [layer.mlp.up_proj.weight.data_ptr() for layer in layers]
    assert (at[0], at[1], at[1]) == (at[3], at[2], at[4])
    assert len(set(at)) == 3
    assert [layer.self_attn.layer_idx for layer in layers] == list(range(6))

    bench, again = Bench(mixed_stack(pair)), mixed_stack(pair)
    at = [layer.mlp.up_proj.weight.data_ptr() for layer in bench.model(again).model.layers]
    assert at[0] == at[3]
    assert len(set(at)) == 3


def mixed_stack(pair: tuple[Path, Path], scale: float = 1.0) -> Recipe:
    """Both parents mixed, then a layer of the second, then the first mixed layer once more."""
    left, right = (parent_at(folder) for folder in pair)

    def mix(start: int, end: int) -> Slice:
        weights = {left: 0.7, right: 0.4}
        return Slice(
            sources=tuple(
                Source(parent=p, layers=(start, end), parameters={"weight": constant(w)})
                for p, w in weights.items()
            )
        )

    copied = Slice(sources=(Source(parent=right, layers=(1, 2)),), method="passthrough", input_scale=scale)
    return Recipe(
        method="linear", slices=(mix(0, 2), copied, mix(0, 1)), parameters={"normalize": constant(0.0)}
    )


def test_copied_layers_stand_between_merged_ones(tmp_path: Path) -> None:
    pair = pair_of("llama", tmp_path)
    plain, with_scale = mixed_stack(pair), mixed_stack(pair, 0.5)
    bench = Bench(plain)
    first = answer(bench.model(plain)).logits
    model = exported(plain, tmp_path / "plain")
    assert torch.equal(first, answer(model).logits)
    right = AutoModelForCausalLM.from_pretrained(pair[1], dtype="auto")
    assert torch.equal(model.model.layers[2].mlp.up_proj.weight, right.model.layers[1].mlp.up_proj.weight)
    second = answer(bench.model(with_scale)).logits
    folded = answer(exported(with_scale, tmp_path / "scaled")).logits
    torch.testing.assert_close(folded, second, atol=1e-4, rtol=0.0)
    assert torch.equal(answer(bench.model(plain)).logits, first)  # nothing is left of the scales


@pytest.mark.parametrize("method", ["ties", "dare_ties", "slerp", "consensus"])
def test_any_method_takes_copied_slices(method: str, tmp_path: Path) -> None:
    pair = pair_of("llama", tmp_path)
    base = parent_at(save_tiny_model(tmp_path / "base", 7))
    left, right = (parent_at(folder) for folder in pair)
    weighted = {} if method in ("slerp", "consensus") else {"weight": constant(0.5)}
    sources = tuple(
        Source(parent=p, layers=(0, 2), parameters=weighted)
        for p in ((left, base) if method == "slerp" else (left, right))
    )
    copied = Slice(sources=(Source(parent=right, layers=(0, 1)),), method="passthrough", input_scale=1.5)
    recipe = Recipe(
        method=method,
        slices=(Slice(sources=sources), copied, Slice(sources=sources)),
        base=base,
        parameters={"t": constant(0.4)} if method == "slerp" else {},
        tokenizer=base,
    )
    searched = answer(Bench(recipe).model(recipe)).logits
    stock = answer(exported(recipe, tmp_path / "merged")).logits
    torch.testing.assert_close(stock, searched, atol=1e-4, rtol=0.0)


def test_a_layer_keeps_its_kind_of_attention_wherever_it_goes(tmp_path: Path) -> None:
    left, right = pair_of("gemma2", tmp_path)
    for folder in (left, right):  # as configurations were written before the kinds stood in them
        config = json.loads((folder / "config.json").read_text())
        config.pop("layer_types")
        (folder / "config.json").write_text(json.dumps(config))
    recipe = stacking_recipe((left, 0), (right, 1), (left, 1), (right, 0), (left, 1))
    model = exported(recipe, tmp_path / "stack")
    assert model.config.layer_types == [
        f"{kind}_attention" for kind in ("sliding", "full", "full", "sliding", "full")
    ]
    assert torch.equal(answer(Bench(recipe).model(recipe)).logits, answer(model).logits)


def test_a_fold_is_rounded_once(tmp_path: Path) -> None:
    pair = pair_of("llama", tmp_path, dtype=torch.bfloat16)
    recipe = stack_of(pair)
    model = exported(recipe, tmp_path / "stack")
    right = AutoModelForCausalLM.from_pretrained(pair[1], dtype=torch.bfloat16)
    wanted = right.model.layers[1].self_attn.o_proj.weight.double() / 0.6
    assert torch.equal(model.model.layers[1].self_attn.o_proj.weight, wanted.bfloat16())


def test_scales_are_refused_where_they_cannot_be_folded(tmp_path: Path) -> None:
    assert "Olmo2ForCausalLM" not in RULES  # it normalises what its blocks give, not what they take
    recipe = stack_of(pair_of("olmo2", tmp_path))
    with pytest.raises(MergeError, match="scales cannot be folded into a Olmo2ForCausalLM") as caught:
        merge_to_disk(ExportOrder(recipe, str(tmp_path / "stack")))
    assert "without scales" in caught.value.remedy
    merge_to_disk(ExportOrder(stack_of_ones(recipe), str(tmp_path / "unscaled")))


def test_layers_that_know_their_number_stay_where_they_are(tmp_path: Path) -> None:
    pair = pair_of("gpt2", tmp_path)
    for folder in pair:
        config = json.loads((folder / "config.json").read_text()) | {"scale_attn_by_inverse_layer_idx": True}
        (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(MismatchError, match="a layer elsewhere is another layer"):
        merge_to_disk(ExportOrder(stack_of(pair), str(tmp_path / "stack")))
