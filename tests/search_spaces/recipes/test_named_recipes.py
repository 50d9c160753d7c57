"""Named recipes are ordinary recipes: they say what the papers say, and can be written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from search_spaces import Parent, Recipe
from search_spaces.errors import RecipeError
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe, write_recipe
from search_spaces.recipes.named_recipes import (
    atlas,
    chat_vector,
    depth_upscaling,
    extrapolation,
    g_stack,
    instruction_residual,
    layer_swap,
    portllm_patch,
    self_merge,
    task_negation,
    uniform_soup,
)

RECIPES: dict[str, Callable[[], Recipe]] = {
    "uniform_soup": lambda: uniform_soup(["org/a", "org/b", "./c"]),
    "chat_vector": lambda: chat_vector("org/base", "org/chat", "org/japanese", 0.7),
    "instruction_residual": lambda: instruction_residual("org/base", "org/instruct", "org/base@v2"),
    "portllm_patch": lambda: portllm_patch("org/base", "org/base+org/adapter@main", "org/base@v2"),
    "task_negation": lambda: task_negation("org/base", "org/toxic", 0.4),
    "extrapolation": lambda: extrapolation("org/base", "org/tuned", 0.4),
    "atlas": lambda: atlas("org/base", {"org/a": {"a.b": 0.5}, "org/b": {"b": -1.0}}, ["a.b", "b", "c"]),
    "layer_swap": lambda: layer_swap("org/l", "org/t", 12, bottom=0, top=3, transition=1, weight=0.3),
    "g_stack": lambda: g_stack("org/a", 6, 4),
    "depth_upscaling": lambda: depth_upscaling("org/a", 32, 8),
    "self_merge": lambda: self_merge("org/a", 10, window=4, stride=2),
}


def weights(recipe: Recipe, tensor: str = "model.layers.0.x") -> dict[str, float | None]:
    """Returns what each parent of the first slice weighs in a tensor."""
    part = recipe.slices[0]
    return {str(s.parent): recipe.parent_value("weight", part, s, tensor, 0.0) for s in part.sources}


def runs(recipe: Recipe) -> list[tuple[int, int] | None]:
    return [part.sources[0].layers for part in recipe.slices]


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_named_recipe_can_be_written_and_read_back(name: str) -> None:
    recipe = RECIPES[name]()
    again = read_recipe(write_recipe(recipe))
    assert again == recipe
    assert again.digest == recipe.digest


@pytest.mark.parametrize("make", [chat_vector, instruction_residual, portllm_patch])
def test_what_tuning_changed_moves_onto_another_model(make: Callable[..., Recipe]) -> None:
    if make is portllm_patch:
        recipe = make("org/old", "org/old+org/adapter", "org/new", 0.5)
        assert weights(recipe) == {"org/new": 1.0, "org/old+org/adapter": 0.5}
    else:
        recipe = make("org/old", "org/tuned", "org/new", 0.5)
        assert weights(recipe) == {"org/new": 1.0, "org/tuned": 0.5}
    assert recipe.base == Parent(model="org/old")
    assert recipe.tokenizer_owner == Parent(model="org/new")


def test_negation_takes_away_what_extrapolation_takes_away() -> None:
    assert weights(task_negation("org/base", "org/tuned", 0.4)) == {"org/tuned": -0.4}
    assert extrapolation("org/base", "org/tuned", 0.4) == task_negation("org/base", "org/tuned", 0.4)


def test_every_tensor_of_an_atlas_has_its_own_coefficient_even_where_names_contain_each_other() -> None:
    names = ["norm", "post.norm", "layers.1.norm", "layers.11.norm", "a.layers.1.norm.b", "layers.1.norm.b"]
    own = {name: 0.1 * (i + 1) for i, name in enumerate(names)}
    recipe = atlas(
        "org/base", {"org/a": own, "org/b": {"norm": 2.0}}, [*names, "unnamed.norm.x"], otherwise=7
    )
    for name in names:
        assert weights(recipe, name)["org/a"] == pytest.approx(own[name])
        assert weights(recipe, name)["org/b"] == (2.0 if name == "norm" else 7.0)
    assert weights(recipe, "unnamed.norm.x") == {"org/a": 7.0, "org/b": 7.0}


def test_an_atlas_of_a_tensor_that_is_not_there_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"coefficients.org/a: there is no tensor 'x'"):
        atlas("org/base", {"org/a": {"x": 1.0}}, ["y"])


def shares(recipe: Recipe, tensor: str = "model.layers.0.x") -> list[float]:
    """Returns the language expert's share of every layer."""
    found = []
    for part in recipe.slices:
        said = {str(s.parent): recipe.parent_value("weight", part, s, tensor, 0.0) for s in part.sources}
        start, end = part.sources[0].layers or (0, 0)
        assert sum(value or 0.0 for value in said.values()) == pytest.approx(1.0)
        found += [said.get("org/l") or 0.0] * (end - start)
    return found


@pytest.mark.parametrize("bottom", [0, 1, 3])
@pytest.mark.parametrize("top", [0, 2, 5])
@pytest.mark.parametrize("transition", [0, 1, 4])
@pytest.mark.parametrize("embeddings", ["language", "task"])
@pytest.mark.parametrize("prefix", ["model.layers.", "transformer.h."])
def test_every_layer_of_a_swap_comes_from_where_the_paper_says(
    bottom: int, top: int, transition: int, embeddings: str, prefix: str
) -> None:
    count = 8
    recipe = layer_swap(
        "org/l",
        "org/t",
        count,
        bottom=bottom,
        top=top,
        transition=transition,
        weight=0.25,
        embeddings="language" if embeddings == "language" else "task",
        layer_prefix=prefix,
    )
    expected = []
    for layer in range(count):
        if layer < bottom or layer >= count - top:
            expected.append(1.0)
        elif bottom + transition <= layer < count - top - transition:
            expected.append(0.0)
        else:
            expected.append(0.25)
    assert shares(recipe, f"{prefix}3.y") == expected
    owner = 1.0 if embeddings == "language" else 0.0
    assert shares(recipe, "model.embed_tokens.weight")[0] == owner
    assert shares(recipe, "lm_head.weight")[-1] == owner
    assert str(recipe.tokenizer_owner) == ("org/l" if embeddings == "language" else "org/t")


@pytest.mark.parametrize(
    "numbers", [{"bottom": 5, "top": 4}, {"bottom": -1, "top": 1}, {"bottom": 1, "top": 1, "weight": 1.5}]
)
def test_a_swap_of_layers_that_are_not_there_is_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        layer_swap("org/l", "org/t", 8, **numbers)


def test_stacks_repeat_the_layers_they_say() -> None:
    assert runs(g_stack("org/a", 6, 3)) == [(0, 6)] * 3
    assert runs(depth_upscaling("org/a", 32, 8)) == [(0, 24), (8, 32)]
    assert runs(self_merge("org/a", 10, window=4, stride=3)) == [(0, 4), (3, 7), (6, 10)]
    assert runs(self_merge("org/a", 11, window=4, stride=3)) == [(0, 4), (3, 7), (6, 10), (9, 11)]
    assert runs(self_merge("org/a", 4, window=8, stride=2)) == [(0, 4)]


def test_stacks_of_nothing_are_refused() -> None:
    with pytest.raises(RecipeError, match="let every run hold a layer"):
        g_stack("org/a", 6, 0)
    with pytest.raises(RecipeError, match="let every run hold a layer"):
        depth_upscaling("org/a", 8, 8)
    for stride in (0, 3):
        with pytest.raises(RecipeError, match="use a stride of 1"):
            self_merge("org/a", 8, window=2, stride=stride)
