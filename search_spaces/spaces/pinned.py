"""Genes that do nothing and are not searched: any space, with these genes where it begins."""

from __future__ import annotations

from collections.abc import Collection

from search_spaces.genome import Genome, Variable
from search_spaces.recipes.recipe import Recipe
from search_spaces.spaces.space import Infeasible, SearchSpace
from search_spaces.spaces.stacking.path_genes import check_length


class PinnedSpace:
    """A space without genes that change no model.

    Unlike frozen genes, pinned ones may have any value in a recipe that is looked for: it describes the
    same model with all of them.

    Attributes:
        inner: The whole space.
    """

    def __init__(self, inner: SearchSpace, pinned: Collection[str]) -> None:
        """Pins genes by their names; those that the space does not have are none of its genes."""
        self.inner = inner
        self._free = tuple(i for i, v in enumerate(inner.variables) if v.name not in pinned)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Those of the genes that are searched."""
        known = self.inner.variables
        return tuple(known[place] for place in self._free)

    def decode(self, genome: Genome) -> Recipe | Infeasible:
        """Returns the recipe, with pinned genes as the space begins with them."""
        check_length(genome, self.variables)
        whole = [variable.initial for variable in self.inner.variables]
        for place, gene in zip(self._free, genome, strict=True):
            whole[place] = gene
        return self.inner.decode(tuple(whole))

    def encode(self, recipe: Recipe) -> Genome:
        """Returns the genome without the pinned genes.

        Raises:
            NotInSpaceError: The recipe is not in the whole space.
        """
        whole = self.inner.encode(recipe)
        return tuple(whole[place] for place in self._free)
