"""Recipes in a few words."""

from __future__ import annotations

import pytest

from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from service.reports.recipe_words import in_few_words

MODELS = """\
models:
- {model: org/math, parameters: {weight: %s}}
- {model: org/code, parameters: {weight: 0.25}}
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("merge_method: linear\n" + MODELS % "0.5", "linear: math 0.50 + code 0.25"),
        (
            "merge_method: linear\nchat_template: org/code\n" + MODELS % "0.5",
            "linear: math 0.50 + code 0.25, chat template of code",
        ),
        (
            "merge_method: evomerge:linear\nvision: org/code\n" + MODELS % "0.5",
            "linear: math 0.50 + code 0.25, vision of code",
        ),
        (
            "merge_method: linear\n"
            + MODELS % "[{filter: language_model.model.layers., value: 1.0}, {value: 0.0}]",
            "linear: math 1.00 + code 0.25",
        ),
        (
            "merge_method: ties\nbase_model: org/base\n" + MODELS % "[0.0, 1.0]",
            "ties: math 0.50 + code 0.25",
        ),
        (
            "merge_method: linear\n"
            + MODELS % "[{filter: mlp, value: 1.0}, {filter: self_attn, value: 0.5}, {value: 0.0}]",
            "linear: math 0.75 + code 0.25",
        ),
        (
            (
                "merge_method: slerp\nbase_model: org/math\nmodels: [{model: org/math}, {model: org/code}]\n"
                "parameters: {t: 0.25}\n"
            ),
            "slerp: t 0.25",
        ),
        (
            (
                "merge_method: passthrough\nslices:\n- sources: [{model: org/math, layer_range: [0, 4]}]\n"
                "- sources: [{model: org/code, layer_range: [2, 4]}]\n"
            ),
            "4 layers of math + 2 layers of code",
        ),
        ("merge_method: passthrough\nmodels: [{model: org/math}]\n", "math as it is"),
        (
            "merge_method: karcher\nmodels: [{model: org/math}, {model: org/code}]\n",
            "karcher: math 1.00 + code 1.00",
        ),
    ],
)
def test_a_recipe_is_told_by_its_method_and_what_it_takes_of_each_parent(text: str, words: str) -> None:
    assert in_few_words(read_recipe(text), layers=4) == words
