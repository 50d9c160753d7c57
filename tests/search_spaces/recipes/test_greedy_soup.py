"""Greedy soups: which model is tried when, and which is added."""

from __future__ import annotations

from typing import Literal

import pytest

from search_spaces import Parent, Recipe
from search_spaces.errors import RecipeError
from search_spaces.recipes.greedy_soup import greedy_soup
from search_spaces.recipes.named_recipes import uniform_soup

A, B, C, D = (Parent(model=f"org/{letter}") for letter in "abcd")


class Taster:
    """Scores soups from a table of their ingredients, and remembers what was asked."""

    def __init__(self, table: dict[str, float]) -> None:
        self.table, self.asked = table, list[str]()

    def __call__(self, recipe: Recipe) -> float:
        name = "".join(str(source.parent)[-1] for source in recipe.slices[0].sources)
        self.asked.append(name)
        return self.table[name]


def test_the_best_is_the_start_and_only_what_helps_is_added() -> None:
    taster = Taster({"bd": 0.85, "bda": 0.80, "bdc": 0.9})
    soup = greedy_soup({A: 0.5, B: 0.8, C: 0.1, D: 0.7}, taster)
    assert taster.asked == ["bd", "bda", "bdc"]
    assert soup.ingredients == (B, D, C)
    assert soup.score == 0.9
    assert soup.recipe == uniform_soup([B, D, C])


@pytest.mark.parametrize(("accept", "ingredients"), [("greater", (B,)), ("greater_or_equal", (B, A))])
def test_the_paper_adds_what_does_not_harm_and_its_code_only_what_helps(
    accept: Literal["greater", "greater_or_equal"], ingredients: tuple[Parent, ...]
) -> None:
    soup = greedy_soup({A: 0.5, B: 0.8}, Taster({"ba": 0.8}), accept=accept)
    assert soup.ingredients == ingredients


def test_of_equal_models_the_later_is_tried_first() -> None:
    taster = Taster({"cb": 0.0, "ca": 0.0})
    assert greedy_soup({A: 0.5, B: 0.5, C: 0.5}, taster).ingredients == (C,)
    assert taster.asked == ["cb", "ca"]


def test_one_model_is_a_soup_of_its_own() -> None:
    soup = greedy_soup({A: 0.5}, Taster({}))
    assert (soup.ingredients, soup.score, soup.recipe) == ((A,), 0.5, uniform_soup([A]))


def test_no_models_and_no_scores_are_refused() -> None:
    with pytest.raises(RecipeError, match="there are no models"):
        greedy_soup({}, Taster({}))
    with pytest.raises(RecipeError, match=r"org/a: its score is NaN"):
        greedy_soup({A: float("nan")}, Taster({}))
    with pytest.raises(RecipeError, match=r"evaluate: its score is NaN"):
        greedy_soup({A: 0.1, B: 0.2}, Taster({"ba": float("nan")}))
