"""What a search space is: variables, and two ways between genomes and recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from search_spaces.genome import Genome, Variable
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import Recipe

TemplateOwners = Literal["search"] | tuple[Parent, ...]
"""Whose chat templates are searched over; `search`: those of all parents that differ."""


@dataclass(frozen=True, slots=True)
class ParentPool:
    """What a space is built over: the parents and the shape they share.

    Attributes:
        parents: The checkpoints to mix, without the base.
        base: Their common ancestor, where there is one.
        layers: How many layers each parent has.
        layer_prefix: What precedes the layer's number in tensor names (`model.layers.`).
        parameters: How many numbers one parent has; 0 where it is not known.
        layer_parameters: How many of these one of its layers has.
    """

    parents: tuple[Parent, ...]
    base: Parent | None
    layers: int
    layer_prefix: str = "model.layers."
    parameters: int = 0
    layer_parameters: int = 0


@dataclass(frozen=True, slots=True)
class Infeasible:
    """A genome that decodes to no recipe, and why."""

    reason: str


class SearchSpace(Protocol):
    """Says what can be tried.  Knows nothing of scores, weights or workers.

    `decode` is pure: the same genome always gives the same recipe.
    """

    @property
    def variables(self) -> tuple[Variable, ...]:
        """One variable per gene, in order."""
        ...

    def decode(self, genome: Genome) -> Recipe | Infeasible:
        """Returns the recipe that the genome stands for."""
        ...

    def encode(self, recipe: Recipe) -> Genome:
        """Returns a genome that decodes to a recipe of the same model.

        Raises:
            NotInSpaceError: No genome does.
        """
        ...
