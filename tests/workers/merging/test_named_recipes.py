"""Named recipes, carried out: soups and atlas against reference code, layer swaps layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from search_spaces import Parent, Recipe
from search_spaces.recipes.greedy_soup import greedy_soup
from search_spaces.recipes.named_recipes import atlas, chat_vector, layer_swap, uniform_soup
from tests.workers.merging.extra_cases import common_inputs, expected_of, inputs_of, parameters_of
from tests.workers.merging.golden_cases import furthest
from tests.workers.merging.small_parents import SmallParents, small_tensors
from workers.checkpoints.inspection import inspect_checkpoint
from workers.merging.plan import plan_merge
from workers.merging.stream import merged_tensors


class Shelf:
    """Checkpoints in a folder, and the merges of them."""

    def __init__(self, folder: Path) -> None:
        self._writer = SmallParents(folder)

    def put(self, name: str, tensors: Mapping[str, Tensor]) -> Parent:
        rows = tensors.get("model.embed_tokens.weight")
        tokens = 40 if rows is None else len(rows)
        return self._writer.save(name, dict(tensors), tie_word_embeddings=True, vocab_size=tokens)

    def merged(self, recipe: Recipe) -> dict[str, Tensor]:
        layouts = {parent: inspect_checkpoint(parent) for parent in recipe.all_parents}
        return dict(merged_tensors(plan_merge(recipe, layouts), self._writer.read))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def check(merged: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert merged.keys() == expected.keys()
    for name, tensor in expected.items():
        assert furthest(merged[name], tensor) <= 1e-6, name


def test_soups_are_those_of_the_authors_code(shelf: Shelf) -> None:
    case = parameters_of("model_soups")
    names: list[str] = sorted(case["individual_val_scores"])
    target = inputs_of("model_soups", "oracle_target")
    parents = {name: shelf.put(name, inputs_of("model_soups", name)) for name in names}

    def score(recipe: Recipe) -> float:
        merged = shelf.merged(recipe)
        return 1.0 - sum(float((merged[n] - t).double().square().sum()) for n, t in target.items()) / 10

    scores = {parents[name]: score(uniform_soup([parents[name]])) for name in names}
    for name in names:
        assert scores[parents[name]] == pytest.approx(case["individual_val_scores"][name], abs=1e-5)
    soup = greedy_soup(scores, score)
    assert soup.ingredients == tuple(parents[name] for name in case["greedy_ingredients_in_order"])
    assert soup.score == pytest.approx(case["greedy_final_val"], abs=1e-5)
    check(shelf.merged(soup.recipe), expected_of("model_soups", "greedy_soup"))
    everything = shelf.merged(uniform_soup(list(parents.values())))
    check(everything, expected_of("model_soups", "uniform_soup"))


def test_an_atlas_scales_every_tensor_as_the_authors_code_does(shelf: Shelf) -> None:
    for case in parameters_of("atlas_anisotropic")["cases"]:
        base = shelf.put("origin", common_inputs("base"))
        names = case["key_order"]
        coefficients: dict[Parent | str, dict[str, float]] = {
            shelf.put(letter, common_inputs(f"model_{letter}")): dict(zip(names, row, strict=True))
            for letter, row in zip("abc", case["coef"], strict=True)
        }
        merged = shelf.merged(atlas(base, coefficients, names))
        check(merged, expected_of("atlas_anisotropic", case["case"]))


@pytest.mark.parametrize("bottom", [0, 1])
@pytest.mark.parametrize("top", [0, 1])
@pytest.mark.parametrize("embeddings", ["language", "task"])
def test_swapped_layers_are_the_experts_own_to_the_last_bit(
    shelf: Shelf, bottom: int, top: int, embeddings: str
) -> None:
    count = 6
    models = {name: small_tensors(seed, layers=count, head=False) for seed, name in enumerate("lt")}
    language, task = (shelf.put(name, tensors) for name, tensors in models.items())
    owner = "language" if embeddings == "language" else "task"
    recipe = layer_swap(
        language,
        task,
        count,
        bottom=bottom,
        top=top,
        transition=1,
        weight=0.25,
        embeddings="language" if owner == "language" else "task",
    )
    merged = shelf.merged(recipe)
    assert merged.keys() == models["l"].keys()
    for name, tensor in merged.items():
        left, right = models["l"][name], models["t"][name]
        if not name.startswith("model.layers."):
            assert torch.equal(tensor, left if owner == "language" else right), name
            continue
        layer = int(name.split(".")[2])
        if layer < bottom or layer >= count - top:
            assert torch.equal(tensor, left), name
        elif bottom + 1 <= layer < count - top - 1:
            assert torch.equal(tensor, right), name
        else:
            assert furthest(tensor, 0.25 * left + 0.75 * right) <= 1e-6, name


def test_a_chat_vector_is_added_to_the_continued_model(shelf: Shelf) -> None:
    base, chat, continued = (small_tensors(seed, head=False) for seed in range(3))
    recipe = chat_vector(
        shelf.put("base", base), shelf.put("chat", chat), shelf.put("continued", continued), 0.5
    )
    expected = {name: continued[name] + 0.5 * (chat[name] - base[name]) for name in base}
    check(shelf.merged(recipe), expected)
