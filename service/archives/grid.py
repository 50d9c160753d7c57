"""Grid archive: the best candidate of every cell that measures make (MAP-Elites: 1504.04909)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from search_spaces.errors import SpaceError

Cell = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MeasureAxis:
    """A measure's range, cut into cells: one axis of an archive.

    Raises:
        SpaceError: The range holds nothing, or there are no cells.
    """

    name: str
    low: float
    high: float
    cells: int

    def __post_init__(self) -> None:
        where = f"measures.{self.name}"
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            detail = f"the range [{self.low}, {self.high}] holds nothing"
            raise SpaceError(where, detail, "give a finite range, its lower end first")
        if self.cells < 1:
            raise SpaceError(where, f"{self.cells} cells hold nothing", "use 1 or more")

    def cell_of(self, measure: float) -> int:
        """Returns the cell that a measure falls into; what lies outside the range, into the outermost."""
        share = (measure - self.low) / (self.high - self.low)
        return min(max(math.floor(share * self.cells), 0), self.cells - 1)


@dataclass(frozen=True, slots=True)
class Elite:
    """The best candidate of a cell.

    Attributes:
        quality: What it is the best by, larger is better.
    """

    number: int
    quality: float
    measures: tuple[float, ...]


class GridArchive:
    """Keeps the best candidate of every cell of a grid over the measures.

    Knows numbers only: genomes and recipes are looked up by the candidate's number.
    """

    def __init__(self, axes: Sequence[MeasureAxis]) -> None:
        self.axes = tuple(axes)
        self._elites: dict[Cell, Elite] = {}

    def __len__(self) -> int:
        return len(self._elites)

    def __iter__(self) -> Iterator[Elite]:
        return iter(self._elites.values())

    def cell_of(self, measures: Sequence[float]) -> Cell:
        """Returns the cell of these measures, one index per axis."""
        return tuple(axis.cell_of(value) for axis, value in zip(self.axes, measures, strict=True))

    def add(self, number: int, quality: float, measures: Sequence[float]) -> bool:
        """Takes a candidate in where it is better than its cell's elite; of equals the first stays.

        Returns:
            Whether it is the elite of its cell now.

        Raises:
            ValueError: A number is not finite: it could be compared with nothing.
        """
        if not all(map(math.isfinite, (quality, *measures))):
            raise ValueError(
                f"candidate {number} has quality {quality} and measures {tuple(measures)}; "
                "only finite numbers can be kept"
            )
        cell = self.cell_of(measures)
        if cell in self._elites and self._elites[cell].quality >= quality:
            return False
        self._elites[cell] = Elite(number, quality, tuple(measures))
        return True

    def remove(self, number: int) -> bool:
        """Empties the cell of this elite; says whether there was one."""
        for cell, elite in self._elites.items():
            if elite.number == number:
                del self._elites[cell]
                return True
        return False

    @property
    def elites(self) -> Mapping[Cell, Elite]:
        """Every filled cell's elite, in the order in which the cells were first filled."""
        return dict(self._elites)

    @property
    def cells(self) -> int:
        """How many cells there are, filled or not."""
        return math.prod(axis.cells for axis in self.axes)

    def quality_in(self, cell: Cell, without: float) -> float:
        """Returns the quality of a cell's elite; `without` where the cell is empty."""
        elite = self._elites.get(cell)
        return without if elite is None else elite.quality

    @property
    def coverage(self) -> float:
        """Share of the cells that hold an elite."""
        return len(self._elites) / self.cells

    def qd_score(self, worst: float = 0.0) -> float:
        """Returns the sum of all elites' qualities, each counted from `worst` (Pugh et al., 2016)."""
        return math.fsum(elite.quality - worst for elite in self._elites.values())
