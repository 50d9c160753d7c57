"""Heads: which parents tie their output to their input embeddings, and which do not.  Knows no files."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import Recipe


class Heads(BaseModel):
    """Parents that differ in their heads, so that merges of both kinds need one of their own.

    Attributes:
        tied: Whose output embeddings are their input embeddings.
        untied: Who have a head.
    """

    model_config = ConfigDict(frozen=True)

    tied: tuple[Parent, ...]
    untied: tuple[Parent, ...]

    def given_to(self, recipe: Recipe) -> Recipe:
        """Returns the recipe with a head of its own where it merges parents of both kinds."""
        used = set(recipe.all_parents) | {recipe.tokenizer_owner}
        if recipe.untie_embeddings or used.isdisjoint(self.tied) or used.isdisjoint(self.untied):
            return recipe
        fields = {name: getattr(recipe, name) for name in Recipe.model_fields}
        return Recipe(**fields | {"untie_embeddings": True})

    def taken_from(self, recipe: Recipe) -> Recipe:
        """Returns the recipe that `given_to` makes this one of."""
        fields = {name: getattr(recipe, name) for name in Recipe.model_fields}
        bare = Recipe(**fields | {"untie_embeddings": False})
        return bare if self.given_to(bare) == recipe else recipe
