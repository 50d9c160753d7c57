"""Eyes: whose vision tower and projector the models of an experiment get.  Knows no files."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import Recipe


class Eyes(BaseModel):
    """What is known of the parents that see.

    Attributes:
        seeing: The parents that see.
        owner: The one whose configuration, tokenizer and image processor a merged model takes, unless its
            recipe names another that sees.
        choices: Whose vision tower and projector it takes; several are searched.
    """

    model_config = ConfigDict(frozen=True)

    seeing: Annotated[tuple[Parent, ...], Field(min_length=1)]
    owner: Parent
    choices: Annotated[tuple[Parent, ...], Field(min_length=1)]

    def given_to(self, recipe: Recipe, eyes: Parent | None = None) -> Recipe:
        """Returns the recipe of the same model, which sees.

        Args:
            recipe: One that says nothing of its eyes keeps a seeing tokenizer owner.
            eyes: Whose; None takes the first choice.
        """
        owner = recipe.tokenizer_owner if recipe.tokenizer_owner in self.seeing else self.owner
        fields = {name: getattr(recipe, name) for name in Recipe.model_fields}
        return Recipe(**fields | {"tokenizer": owner, "vision": eyes or self.choices[0]})

    def lent_to(self, recipe: Recipe) -> Recipe:
        """Returns a parent as it is where it sees, and inside the owner where it only reads."""
        return recipe if recipe.tokenizer_owner in self.seeing else self.given_to(recipe)
