"""Recipes of stacked layers: scaled slices, copied slices, and slices of no layers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from search_spaces import Parent, Recipe, Slice, Source
from search_spaces.errors import RecipeFileError, SpaceError
from search_spaces.recipes.mergekit.problems import unwrap
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe, write_recipe
from search_spaces.recipes.recipe import NO_LAYERS
from search_spaces.recipes.settings import constant

BASE, LEFT, RIGHT = (Parent(model=f"org/{name}") for name in ("base", "left", "right"))


def layers_of(parent: Parent, start: int, end: int, **changes: Any) -> Slice:
    return Slice(sources=(Source(parent=parent, layers=(start, end)),), **changes)


def stack(*slices: Slice) -> Recipe:
    return Recipe(method="passthrough", slices=slices)


def mixed(*slices: Slice) -> Recipe:
    """A task-arithmetic recipe whose first slice mixes both parents."""
    sources = tuple(
        Source(parent=p, layers=(0, 2), parameters={"weight": constant(0.5)}) for p in (LEFT, RIGHT)
    )
    return Recipe(method="task_arithmetic", slices=(Slice(sources=sources), *slices), base=BASE)


def refusal(build: Callable[..., Recipe], *slices: Slice) -> SpaceError:
    with pytest.raises(ValidationError) as caught:
        build(*slices)
    return unwrap(caught.value, "recipe")[0]


def test_a_scale_of_one_leaves_the_digest_as_it_was() -> None:
    plain = stack(layers_of(LEFT, 0, 2), layers_of(RIGHT, 0, 2))
    assert stack(layers_of(LEFT, 0, 2), layers_of(RIGHT, 0, 2, input_scale=1)).digest == plain.digest
    assert stack(layers_of(LEFT, 0, 2), layers_of(RIGHT, 0, 2, input_scale=0.5)).digest != plain.digest
    assert "input_scale" not in plain.canonical_json()


def test_passthrough_need_not_be_said_of_a_slice_of_passthrough() -> None:
    said = stack(layers_of(LEFT, 0, 2, method="passthrough"))
    assert said == stack(layers_of(LEFT, 0, 2))


@pytest.mark.parametrize(
    "recipe",
    [
        stack(layers_of(LEFT, 0, 2), layers_of(RIGHT, 1, 2, input_scale=0.12345678901)),
        mixed(layers_of(RIGHT, 1, 2, method="passthrough", input_scale=2.5)),
        mixed(layers_of(BASE, 1, 2, method="passthrough")),
    ],
)
def test_what_mergekit_cannot_make_is_written_so_that_it_refuses(recipe: Recipe) -> None:
    text = write_recipe(recipe)
    assert f"merge_method: evomerge:{recipe.method}\n" in text
    assert "mergekit cannot make this model" in text
    assert read_recipe(text) == recipe


def test_what_mergekit_can_make_is_written_in_its_words() -> None:
    recipe = stack(layers_of(LEFT, *NO_LAYERS), layers_of(RIGHT, 0, 2), layers_of(LEFT, 1, 2))
    text = write_recipe(recipe)
    assert "merge_method: passthrough\n" in text
    assert "evomerge" not in text
    assert read_recipe(text) == recipe


def test_recipes_survive_json() -> None:
    recipe = mixed(layers_of(RIGHT, 1, 2, method="passthrough", input_scale=2.5))
    assert Recipe.model_validate(json.loads(recipe.canonical_json())) == recipe


@pytest.mark.parametrize(
    ("slices", "field", "part"),
    [
        ((layers_of(LEFT, 0, 2, input_scale=0.5),), "slices.0.input_scale", "what enters the first layer"),
        (
            (layers_of(LEFT, *NO_LAYERS), layers_of(RIGHT, 0, 2, input_scale=0.5)),
            "slices.1.input_scale",
            "scale a later slice",
        ),
        (
            (layers_of(LEFT, 0, 2), layers_of(RIGHT, *NO_LAYERS, input_scale=0.5)),
            "slices.1.input_scale",
            "the input of no layer",
        ),
        ((layers_of(LEFT, *NO_LAYERS),), "slices", "they hold no layer"),
    ],
)
def test_slices_that_do_not_stand_on_each_other_are_refused(
    slices: tuple[Slice, ...], field: str, part: str
) -> None:
    error = refusal(stack, *slices)
    assert error.field == field
    assert part in str(error)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"parameters": {"weight": constant(0.5)}}, "slices.1"),
        ({"base": LEFT}, "slices.1"),
        ({"sources": tuple(Source(parent=p, layers=(0, 1)) for p in (LEFT, RIGHT))}, "slices.1.sources"),
    ],
)
def test_a_copied_slice_is_one_parent_as_it_is(changes: dict[str, Any], field: str) -> None:
    copied = layers_of(RIGHT, 0, 1, method="passthrough").model_copy(update=changes)
    assert refusal(mixed, copied).field == field


@pytest.mark.parametrize("scale", ["0", "-1", ".inf", "true", "two"])
def test_a_scale_that_is_no_positive_number_is_refused(scale: str) -> None:
    text = write_recipe(stack(layers_of(LEFT, 0, 2), layers_of(RIGHT, 1, 2, input_scale=0.75)))
    with pytest.raises(RecipeFileError, match=r"slices\.1\.input_scale"):
        read_recipe(text.replace("0.75", scale))


def test_only_passthrough_is_a_method_of_a_single_slice() -> None:
    text = write_recipe(mixed(layers_of(RIGHT, 1, 2, method="passthrough")))
    with pytest.raises(RecipeFileError, match=r"slices\.1\.merge_method"):
        read_recipe(text.replace("merge_method: passthrough", "merge_method: slerp"))
