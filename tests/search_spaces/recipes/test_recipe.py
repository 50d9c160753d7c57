"""Recipes as values: their checks, canonical form and digest."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

from search_spaces import Parent, Recipe, Slice, Source
from search_spaces.errors import SpaceError
from search_spaces.recipes.mergekit.problems import unwrap
from search_spaces.recipes.settings import Setting, constant
from tests.search_spaces.random_recipes import recipes

BASE, LEFT, RIGHT = (Parent(model=f"org/{name}") for name in ("base", "left", "right"))


def whole(*parents: Parent, **values: float) -> tuple[Slice, ...]:
    parameters = {name: constant(value) for name, value in values.items()}
    return (Slice(sources=tuple(Source(parent=p, parameters=parameters) for p in parents)),)


def refusal(**fields: Any) -> SpaceError:
    with pytest.raises(ValidationError) as caught:
        Recipe(**fields)
    return unwrap(caught.value, "recipe")[0]


AVERAGE = Recipe(method="linear", slices=whole(LEFT, RIGHT, weight=0.5))
TIES = Recipe(
    method="ties",
    slices=whole(LEFT, RIGHT, weight=0.7, density=0.25),
    base=BASE,
    parameters={"normalize": constant(0.0), "lambda": (Setting(value=(0.5, 1.0), filter="mlp"),)},
    dtype="bfloat16",
)
STACK = Recipe(
    method="passthrough",
    slices=tuple(Slice(sources=(Source(parent=p, layers=(i, i + 2)),)) for i, p in enumerate((LEFT, RIGHT))),
)


@pytest.mark.parametrize(
    ("recipe", "digest"),
    [
        (AVERAGE, "4ad7202a1ac7e502f1a92686c6bfa30041feb890b029cfe0a34ea097ab0c5ec1"),
        (TIES, "6933d0c3dd65e584a823f8a40821d881dbb7e6bf15e31ef6878bcc6cbc165b35"),
        (STACK, "dd24712f2fdf098edf445365385edcedfa5fdbc0197382a618a4d59cc6d40c88"),
    ],
)
def test_digests_are_those_of_yesterday(recipe: Recipe, digest: str) -> None:
    assert recipe.digest == digest


@given(recipe=recipes())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_a_recipe_survives_json_and_pickle_with_its_digest(recipe: Recipe) -> None:
    assert Recipe.model_validate_json(recipe.canonical_json()).digest == recipe.digest
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert pickle.loads(pickle.dumps(recipe)).digest == recipe.digest


def test_what_changes_the_model_changes_the_digest() -> None:
    changed = [
        AVERAGE,
        Recipe(method="linear", slices=whole(RIGHT, LEFT, weight=0.5)),  # the first gives the configuration
        Recipe(method="linear", slices=whole(LEFT, RIGHT, weight=0.6)),
        Recipe(method="linear", slices=AVERAGE.slices, dtype="bfloat16"),
        Recipe(method="linear", slices=AVERAGE.slices, out_dtype="bfloat16"),
        Recipe(method="linear", slices=AVERAGE.slices, tokenizer=RIGHT),
        Recipe(method="linear", slices=AVERAGE.slices, parameters={"normalize": constant(0.0)}),
    ]
    assert len({recipe.digest for recipe in changed}) == len(changed)


def test_what_does_not_change_the_model_does_not_change_the_digest() -> None:
    swapped = {"density": constant(0.25), "weight": constant(0.7 + 1e-12)}
    part = Slice(sources=tuple(Source(parent=p, parameters=swapped) for p in (LEFT, RIGHT)))
    assert TIES.model_copy(update={"slices": (part,)}).canonical_json() == TIES.canonical_json()
    # Nothing is drawn, so the seed is of no account.
    assert Recipe(method="linear", slices=AVERAGE.slices, seed=7).digest == AVERAGE.digest
    # Nothing is subtracted, so the base only gives its tokenizer.
    with_base = Recipe(method="linear", slices=whole(LEFT, RIGHT, weight=0.5), base=BASE)
    assert with_base == Recipe(method="linear", slices=AVERAGE.slices, tokenizer=BASE)
    assert Recipe.model_validate(with_base.model_dump()) == with_base


def test_the_seed_of_a_random_method_changes_the_digest() -> None:
    first, second = (
        Recipe(method="dare_ties", slices=whole(LEFT, weight=1.0), base=BASE, seed=seed) for seed in (1, 2)
    )
    assert first.digest != second.digest


def test_all_parents_are_named_once_with_the_tokenizers_and_the_base_last() -> None:
    recipe = Recipe(
        method="ties", slices=whole(BASE, LEFT, RIGHT, weight=1.0), base=BASE, tokenizer=Parent(model="t")
    )
    assert recipe.all_parents == (LEFT, RIGHT, Parent(model="t"), BASE)
    assert recipe.tokenizer_owner == Parent(model="t")


@pytest.mark.parametrize(
    ("fields", "field", "part"),
    [
        ({"method": "tise", "slices": whole(LEFT)}, "method", "did you mean 'ties'?"),
        ({"method": "ties", "slices": whole(LEFT)}, "base", "ties needs a base model; name the parents'"),
        (
            {"method": "linear", "slices": whole(LEFT, LEFT)},
            "slices.0.sources",
            "org/left stands there twice",
        ),
        (
            {"method": "passthrough", "slices": whole(LEFT, RIGHT)},
            "slices.0.sources",
            "takes exactly 1 parent, got 2",
        ),
        ({"method": "passthrough", "slices": whole(LEFT, BASE), "base": BASE}, "slices.0.sources", "got 2"),
        (
            {"method": "slerp", "slices": whole(LEFT, RIGHT), "base": BASE},
            "slices.0.base",
            "not from org/base",
        ),
        (
            {"method": "linear", "slices": whole(LEFT, wieght=1.0)},
            "slices.0.sources.0.parameters.wieght",
            "did you mean 'weight'?",
        ),
        (
            {"method": "linear", "slices": whole(LEFT), "parameters": {"normalize": constant(0.5)}},
            "parameters.normalize",
            "write true or false",
        ),
        (
            {
                "method": "linear",
                "slices": whole(LEFT),
                "parameters": {"normalize": (Setting(value=(0.0, 0.5)),)},
            },
            "parameters.normalize",
            "write true or false",
        ),
        (
            {"method": "ties", "slices": whole(LEFT, density=1.5), "base": BASE},
            "slices.0.sources.0.parameters.density",
            "density is 1.5, out of its range; use 0 to 1",
        ),
    ],
)
def test_a_recipe_error_names_field_value_and_remedy(fields: dict[str, Any], field: str, part: str) -> None:
    error = refusal(**fields)
    assert error.field == field
    assert part in str(error)
    assert error.remedy


@pytest.mark.parametrize("layers", [(2, 2), (3, 1), (-1, 2), (0, 10_001)])
def test_layers_that_hold_nothing_are_refused(layers: tuple[int, int]) -> None:
    with pytest.raises(ValidationError, match="hold no layer"):
        Source(parent=LEFT, layers=layers)


@pytest.mark.parametrize(
    ("text", "model", "revision"),
    [
        ("org/name", "org/name", None),
        ("org/name@main", "org/name", "main"),
        ("./a@b+c", "./a@b+c", None),
        ("/a@b", "/a@b", None),
    ],
)
def test_a_reference_is_read_and_written_alike(text: str, model: str, revision: str | None) -> None:
    parent = Parent.model_validate(text)
    assert (parent.model, parent.revision) == (model, revision)
    assert str(parent) == text


@pytest.mark.parametrize("text", ["", "@main", "a@", "a+lora", "a@b@c"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Parent.model_validate(text)
