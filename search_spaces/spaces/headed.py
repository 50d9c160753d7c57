"""Parents of which some tie their embeddings: any space, whose recipes get a head where they need one."""

from __future__ import annotations

from search_spaces.genome import Genome, Variable
from search_spaces.recipes.heads import Heads
from search_spaces.recipes.recipe import Recipe
from search_spaces.spaces.space import Infeasible, SearchSpace


class HeadedSpace:
    """A space whose merges of tied and untied parents have a head of their own.

    Attributes:
        inner: The space that knows nothing of heads.
    """

    def __init__(self, inner: SearchSpace, heads: Heads) -> None:
        self.inner, self._heads = inner, heads

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The inner space's."""
        return self.inner.variables

    def decode(self, genome: Genome) -> Recipe | Infeasible:
        """Returns the inner space's recipe, with a head."""
        found = self.inner.decode(genome)
        return found if isinstance(found, Infeasible) else self._heads.given_to(found)

    def encode(self, recipe: Recipe) -> Genome:
        """Returns the genome of the recipe.

        Raises:
            NotInSpaceError: It is not in the inner space.
        """
        return self.inner.encode(self._heads.taken_from(recipe))
