"""Models that see: any space, whose recipes get a parent's vision tower, or one that is searched."""

from __future__ import annotations

from search_spaces.errors import NotInSpaceError
from search_spaces.genome import Choice, Genome, Variable
from search_spaces.recipes.eyes import Eyes
from search_spaces.recipes.recipe import Recipe
from search_spaces.spaces.space import Infeasible, SearchSpace
from search_spaces.spaces.stacking.path_genes import check_length

GENE = "vision"


class SeeingSpace:
    """A space with eyes.

    Where there are several to choose from, the last gene is the name of the parent they come from.

    Attributes:
        inner: The space without them.
    """

    def __init__(self, inner: SearchSpace, eyes: Eyes) -> None:
        self.inner, self._eyes = inner, eyes
        self._names = tuple(map(str, eyes.choices))
        several = len(eyes.choices) > 1
        self._gene = (Choice(GENE, self._names, self._names[0]),) if several else ()

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The inner space's, then whose eyes, if that is searched."""
        return (*self.inner.variables, *self._gene)

    def decode(self, genome: Genome) -> Recipe | Infeasible:
        """Returns the inner space's recipe, with eyes."""
        check_length(genome, self.variables)
        found = self.inner.decode(genome[: len(self.inner.variables)])
        if isinstance(found, Infeasible):
            return found
        chosen = self._eyes.choices[self._names.index(str(genome[-1]))] if self._gene else None
        return self._eyes.given_to(found, chosen)

    def encode(self, recipe: Recipe) -> Genome:
        """Returns the genome of the recipe and of its eyes.

        Raises:
            NotInSpaceError: The recipe is not in the inner space, or has other eyes than can be chosen.
        """
        eyes = recipe.vision or recipe.tokenizer_owner
        if eyes not in self._eyes.choices:
            detail = f"it has the vision tower of {eyes}"
            raise NotInSpaceError("recipe", detail, f"take that of {' or '.join(self._names)}")
        genome = self.inner.encode(recipe)
        return (*genome, str(eyes)) if self._gene else genome
