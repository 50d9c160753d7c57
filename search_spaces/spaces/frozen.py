"""Genes that are not searched: any space, with some of its genes held still."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from search_spaces.errors import NotInSpaceError, SpaceDefinitionError, UnknownNameError
from search_spaces.genome import Choice, Gene, Genome, Integer, Real, Variable
from search_spaces.recipes.recipe import Recipe
from search_spaces.spaces.space import Infeasible, SearchSpace
from search_spaces.spaces.stacking.path_genes import check_length


class FrozenSpace:
    """A space without the genes that are frozen.

    Attributes:
        inner: The whole space.

    Raises:
        SpaceDefinitionError: A value is none of its gene's, a gene is named twice, or none is left.
        UnknownNameError: No gene has such a name.
    """

    def __init__(self, inner: SearchSpace, frozen: Mapping[str, Gene]) -> None:
        """Freezes genes; a name may be a pattern (`weight of left*`)."""
        self.inner = inner
        self._frozen = _by_place(inner, frozen)
        if len(self._frozen) == len(inner.variables):
            raise SpaceDefinitionError("space.frozen", "no gene is left to search", "freeze fewer")

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Those of the genes that are not frozen."""
        return tuple(v for i, v in enumerate(self.inner.variables) if i not in self._frozen)

    def decode(self, genome: Genome) -> Recipe | Infeasible:
        """Returns the recipe, with the frozen genes in their places."""
        check_length(genome, self.variables)
        rest = iter(genome)
        count = len(self.inner.variables)
        whole = tuple(self._frozen[i] if i in self._frozen else next(rest) for i in range(count))
        return self.inner.decode(whole)

    def encode(self, recipe: Recipe) -> Genome:
        """Returns the genome without the frozen genes.

        Raises:
            NotInSpaceError: The recipe is not in the whole space, or not with these frozen genes.
        """
        whole = self.inner.encode(recipe)
        genome = tuple(gene for i, gene in enumerate(whole) if i not in self._frozen)
        wanted, found = self.inner.decode(whole), self.decode(genome)
        if isinstance(wanted, Infeasible) or isinstance(found, Infeasible) or wanted.digest != found.digest:
            different = next((i for i, gene in self._frozen.items() if whole[i] != gene), 0)
            name = self.inner.variables[different].name
            raise NotInSpaceError("recipe", f"{name!r} is {whole[different]}, and frozen", "do not freeze it")
        return genome


def _by_place(space: SearchSpace, frozen: Mapping[str, Gene]) -> dict[int, Gene]:
    found: dict[int, Gene] = {}
    for pattern, value in frozen.items():
        places = [
            i for i, v in enumerate(space.variables) if v.name == pattern or fnmatchcase(v.name, pattern)
        ]
        if not places:
            raise UnknownNameError("space.frozen", "gene", pattern, (v.name for v in space.variables))
        for place in places:
            variable = space.variables[place]
            if place in found:
                raise SpaceDefinitionError(
                    "space.frozen", f"{variable.name!r} is named twice", "name each gene once"
                )
            found[place] = _gene(variable, value)
    return found


def _gene(variable: Variable, value: Gene) -> Gene:
    gene = float(value) if isinstance(variable, Real) and isinstance(value, int) else value
    if isinstance(value, bool) or not variable.holds(gene):
        detail = f"{variable.name!r} cannot be {value!r}"
        raise SpaceDefinitionError("space.frozen", detail, f"use {_allowed(variable)}")
    return gene


def _allowed(variable: Variable) -> str:
    if isinstance(variable, Choice):
        return f"one of: {', '.join(variable.options)}"
    whole = "a whole number" if isinstance(variable, Integer) else "a number"
    return f"{whole} from {variable.low:g} to {variable.high:g}"
