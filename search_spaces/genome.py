"""Genomes and their variables.

A genome is a point of a search space, and all that optimizers know: one gene per variable, in the
variables' order.  Optimizers that think in real vectors use the unit cube, where each variable is
an interval [0, 1], whatever its range or kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import SpaceDefinitionError

Gene = float | int | str
Genome = tuple[Gene, ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """What a gene means, for optimizers that breed coefficients instead of anonymous numbers.

    Attributes:
        parameter: The merge method's parameter (`weight`, `density` ...).
        owner: The parent's place in the pool; None where the parameter is all parents'.
        place: Where in the network it acts, counted from the input to the output.
    """

    parameter: str
    owner: int | None
    place: int


@dataclass(frozen=True, slots=True)
class Real:
    """A number between two bounds."""

    name: str
    low: float
    high: float
    initial: float
    axis: Axis | None = None

    def __post_init__(self) -> None:
        _check_bounds(self.name, self.low, self.high, self.initial)

    def from_unit(self, position: float) -> float:
        """Returns the gene at this position of [0, 1]."""
        return self.low + min(max(position, 0.0), 1.0) * (self.high - self.low)

    def to_unit(self, gene: Gene) -> float:
        """Returns the gene's position in [0, 1]."""
        return (float(gene) - self.low) / (self.high - self.low)

    def holds(self, gene: Gene) -> bool:
        """Says whether the gene is a value of this variable."""
        return isinstance(gene, (int, float)) and self.low <= gene <= self.high


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number between two bounds, both included."""

    name: str
    low: int
    high: int
    initial: int
    axis: Axis | None = None

    def __post_init__(self) -> None:
        _check_bounds(self.name, self.low, self.high, self.initial)

    def from_unit(self, position: float) -> int:
        """Returns the gene whose cell of [0, 1] holds this position."""
        cells = self.high - self.low + 1
        return self.low + min(int(min(max(position, 0.0), 1.0) * cells), cells - 1)

    def to_unit(self, gene: Gene) -> float:
        """Returns the middle of the gene's cell of [0, 1]."""
        return (float(gene) - self.low + 0.5) / (self.high - self.low + 1)

    def holds(self, gene: Gene) -> bool:
        """Says whether the gene is a value of this variable."""
        return isinstance(gene, int) and self.low <= gene <= self.high


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several names."""

    name: str
    options: tuple[str, ...]
    initial: str
    axis: Axis | None = None

    def __post_init__(self) -> None:
        if len(set(self.options)) < 2 or self.initial not in self.options:
            detail = f"{self.initial!r} of {list(self.options)}"
            raise SpaceDefinitionError(
                self.name, f"not a choice: {detail}", "give at least two different options"
            )

    def from_unit(self, position: float) -> str:
        """Returns the option whose cell of [0, 1] holds this position."""
        cell = int(min(max(position, 0.0), 1.0) * len(self.options))
        return self.options[min(cell, len(self.options) - 1)]

    def to_unit(self, gene: Gene) -> float:
        """Returns the middle of the option's cell of [0, 1]."""
        return (self.options.index(str(gene)) + 0.5) / len(self.options)

    def holds(self, gene: Gene) -> bool:
        """Says whether the gene is one of the options."""
        return gene in self.options


Variable = Real | Integer | Choice


def initial_genome(variables: Sequence[Variable]) -> Genome:
    """Returns the point where a search starts when it knows nothing better."""
    return tuple(variable.initial for variable in variables)


def from_unit_cube(variables: Sequence[Variable], positions: Sequence[float] | NDArray[np.float64]) -> Genome:
    """Returns the genome at a point of the unit cube; coordinates outside are clipped."""
    return tuple(v.from_unit(float(p)) for v, p in zip(variables, positions, strict=True))


def to_unit_cube(variables: Sequence[Variable], genome: Genome) -> NDArray[np.float64]:
    """Returns the genome's point in the unit cube, shape [variables]."""
    return np.array([v.to_unit(gene) for v, gene in zip(variables, genome, strict=True)], dtype=np.float64)


def is_in_bounds(variables: Sequence[Variable], genome: Genome) -> bool:
    """Says whether every gene is a value of its variable."""
    return len(variables) == len(genome) and all(
        variable.holds(gene) for variable, gene in zip(variables, genome, strict=True)
    )


def _check_bounds(name: str, low: float, high: float, initial: float) -> None:
    if not low < high:
        raise SpaceDefinitionError(
            name, f"bounds [{low}, {high}] hold nothing", "the first must be the smaller"
        )
    if not low <= initial <= high:
        raise SpaceDefinitionError(
            name, f"starts at {initial}, outside [{low}, {high}]", "start inside the bounds"
        )
