"""What is written is what mergekit 0.1.5 reads: its schema and its methods' parameters, recorded once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from search_spaces import Recipe
from search_spaces.catalogue.methods import METHODS
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe, write_recipe
from tests.search_spaces.random_recipes import recipes
from tests.search_spaces.recipes.mergekit.token_rules import TOKEN_RULES

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("schema.json").read_text())
VALIDATOR = Draft202012Validator(RECORDED["schema"])
AVERAGE = (
    "merge_method: linear\nmodels:\n"
    "- {model: a, parameters: {weight: 1}}\n- {model: b@v2+org/c, parameters: {weight: 2}}\n"
)


def complaints(recipe: Recipe) -> list[str]:
    """Returns what mergekit's schema has against a recipe as it is written."""
    return [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(write_recipe(recipe)))]


@pytest.mark.parametrize("name", RECORDED["methods"])
def test_every_method_of_mergekits_is_known_with_all_its_parameters(name: str) -> None:
    ours = {parameter.name for parameter in METHODS[name].parameters}
    assert set(RECORDED["methods"][name]["parameters"]) <= ours


@given(recipe=recipes().filter(lambda recipe: recipe.method in RECORDED["methods"]))
@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
def test_recipes_of_these_methods_are_written_as_the_schema_has_them(recipe: Recipe) -> None:
    assert complaints(recipe) == []


@pytest.mark.parametrize(
    "more",
    [
        TOKEN_RULES,
        "tokenizer_source: union\n",
        "tokenizer_source: a\nout_dtype: float32\n",
        "chat_template: chatml\n",
        "chat_template: |\n  {% for turn in messages %}{{ turn['content'] }}{% endfor %}\n",
    ],
)
def test_tokenizers_and_templates_are_written_as_the_schema_has_them(more: str) -> None:
    assert complaints(read_recipe(AVERAGE + more)) == []


@pytest.mark.parametrize(
    "wrong", ["slices: [{sources: [{model: a}]}]", "models: [{parameters: {weight: 1}}]", "dtype: 3"]
)
def test_the_schema_does_refuse_what_mergekit_refuses(wrong: str) -> None:
    assert list(VALIDATOR.iter_errors(yaml.safe_load(f"merge_method: linear\n{wrong}\n")))
