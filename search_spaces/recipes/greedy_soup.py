"""Greedy soups: fine-tuned models are added, best first, as long as the average gets better.

Wortsman et al., "Model soups", arXiv 2203.05482, recipe 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from search_spaces.errors import RecipeError
from search_spaces.recipes.named_recipes import uniform_soup
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Soup:
    """What was cooked.

    Attributes:
        recipe: The average of the ingredients.
        ingredients: In the order in which they were added.
        score: The average's held-out score.
    """

    recipe: Recipe
    ingredients: tuple[Parent, ...]
    score: float


def greedy_soup(
    scores: Mapping[Parent, float],
    evaluate: Callable[[Recipe], float],
    *,
    accept: Literal["greater", "greater_or_equal"] = "greater",
) -> Soup:
    """Returns the soup of the best model and of every other that makes it better, tried in order.

    Args:
        scores: The held-out score of every model alone; more is better.  Of equal ones, the later is
            tried first, as the authors' code does.
        evaluate: Returns a recipe's held-out score, on the same items; called once per further model.
        accept: The paper adds a model where the score is not worse, its code where it is better.

    Raises:
        RecipeError: There are no models, or a score is no number.
    """
    if not scores:
        raise RecipeError("scores", "there are no models", "score at least one")
    for parent, value in scores.items():
        _check(value, str(parent))
    ranked = sorted(scores, key=lambda parent: scores[parent])[::-1]
    soup = Soup(uniform_soup(ranked[:1]), (ranked[0],), scores[ranked[0]])
    for parent in ranked[1:]:
        ingredients = (*soup.ingredients, parent)
        recipe = uniform_soup(ingredients)
        score = _check(evaluate(recipe), "evaluate")
        if score > soup.score or (accept == "greater_or_equal" and score == soup.score):
            soup = Soup(recipe, ingredients, score)
    return soup


def _check(score: float, field: str) -> float:
    if math.isnan(score):
        raise RecipeError(field, "its score is NaN", "score it again, or leave it out")
    return score
