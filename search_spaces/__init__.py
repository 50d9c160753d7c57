"""What can be tried: recipes, genomes and the spaces between them.

Pure: no torch, no files, no network.
"""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces.errors import SpaceDefinitionError, UnknownNameError
from search_spaces.genome import Genome, Variable
from search_spaces.parameter_space import ParameterSpace, ParameterSpaceOptions
from search_spaces.parent import Parent
from search_spaces.recipe import Recipe, Slice, Source
from search_spaces.space import Infeasible, ParentPool, SearchSpace

__all__ = [
    "SPACES",
    "Genome",
    "Infeasible",
    "ParameterSpace",
    "Parent",
    "ParentPool",
    "Recipe",
    "SearchSpace",
    "Slice",
    "Source",
    "SpaceDefinitionError",
    "SpaceOptions",
    "UnknownNameError",
    "Variable",
    "build_space",
]

SPACES: Mapping[str, type[ParameterSpace]] = {
    "parameter": ParameterSpace,
}

SpaceOptions = ParameterSpaceOptions  # becomes a union, discriminated by `kind`, with the second space


def build_space(options: SpaceOptions, pool: ParentPool) -> SearchSpace:
    """Returns the space that the options describe, over these parents.

    Raises:
        SpaceError: The options hold no recipe over this pool.
    """
    return SPACES[options.kind](options, pool)
