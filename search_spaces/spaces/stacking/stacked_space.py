"""What the spaces of stacked layers have in common, whatever their genes mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from search_spaces.genome import Genome, Variable
from search_spaces.recipes.recipe import Recipe
from search_spaces.spaces.space import Infeasible, ParentPool
from search_spaces.spaces.stacking.stack import (
    PathGenes,
    Stack,
    StackingOptions,
    check_depth,
    check_options,
    members_of,
)

Members = Sequence[tuple[str, int]]
"""Names of those whose layers are stacked, and how many each has."""


class StackedSpace:
    """Stacks of the members' layers: genes become a path, and the path a recipe.

    Args:
        options: As the user gave them.
        pool: The parents.
        genes_of: Makes the genes of a path over these members.

    Raises:
        SpaceDefinitionError: The options hold no stack of these parents' layers.
    """

    def __init__(
        self, options: StackingOptions, pool: ParentPool, genes_of: Callable[[Members], PathGenes]
    ) -> None:
        self.options, self.pool = options, pool
        check_options(options, pool)
        members = members_of(options, pool)
        check_depth(options, pool, members[0].depth)
        self._stack = Stack(members, options, pool)
        self._genes = genes_of([(member.label, member.depth) for member in members])

    @property
    def variables(self) -> tuple[Variable, ...]:
        """One per gene, in order."""
        return self._genes.variables

    def decode(self, genome: Genome) -> Recipe | Infeasible:
        """Returns the recipe of the layers that the genes choose."""
        return self._stack.recipe(self._genes.path(genome))

    def encode(self, recipe: Recipe) -> Genome:
        """Returns a genome that chooses the recipe's layers.

        Raises:
            NotInSpaceError: It has layers, an order or scales that this space does not have.
        """
        return self._genes.genome(self._stack.path(recipe))
