"""What a miniature asks of a search, and how one of our optimizers is run over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from search_spaces.genome import Genome, Variable
from service.optimizers import Evaluation, MeasureAxis, OptimizerSetup, optimizer_named
from service.optimizers.options import OptionValue

Split = Literal["search", "selection", "test"]
Items = NDArray[np.float64]
"""1 for each item answered rightly, 0 for the others, shape [items]."""


class Miniature(Protocol):
    """Parents, a space over them, and items to be scored on."""

    @property
    def variables(self) -> tuple[Variable, ...]:
        """One per gene."""
        ...

    @property
    def parents(self) -> int:
        """How many models are merged."""
        ...

    def baselines(self) -> list[Genome]:
        """Returns the genomes of the parents and of their plain average, as far as the space has them."""
        ...

    def items(self, genome: Genome, split: Split) -> Items:
        """Scores a genome's model, item by item."""
        ...


@dataclass(frozen=True, slots=True)
class Engine:
    """An optimizer and its settings.

    Attributes:
        measures: Axes of the archive, with `measure`, which reads them off a candidate's search items.
    """

    algorithm: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    population: int | None = None
    sigma: float = 1 / 6
    measures: tuple[MeasureAxis, ...] = ()
    measure: Callable[[Items], tuple[float, ...]] | None = None


@dataclass(slots=True)
class Searched:
    """What a search tried, in its order.

    Attributes:
        scores: Accuracy on the search items, one per genome; baselines come first.
    """

    genomes: list[Genome] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    solved: Items | None = None

    @property
    def best(self) -> Genome:
        """The genome with the highest score, the first of equals."""
        return self.genomes[int(np.argmax(self.scores))]

    def note(self, genome: Genome, items: Items) -> None:
        """Adds a candidate."""
        self.genomes.append(genome)
        self.scores.append(float(items.mean()))


def search(
    problem: Miniature,
    engine: Engine,
    *,
    evaluations: int,
    seed: int,
    baselines: Sequence[Genome] | None = None,
    ask_items: Callable[[int], Sequence[int]] | None = None,
) -> Searched:
    """Has an optimizer look for the highest accuracy on the search items.

    Args:
        problem: What is searched.
        engine: What searches.
        evaluations: Candidates, without the baselines.
        seed: Decides all that the optimizer draws.
        baselines: Told before the first candidate; the problem's own by default.
        ask_items: From a generation's number to the places of the search items it is scored on; all by
            default.
    """
    setup = OptimizerSetup(
        problem.variables,
        seed,
        population=engine.population,
        sigma=engine.sigma,
        measures=engine.measures,
        parents=problem.parents,
        options=engine.options,
        budget=evaluations,
    )
    optimizer, found = optimizer_named(engine.algorithm)(setup), Searched()
    first = problem.baselines() if baselines is None else list(baselines)

    def evaluate(number: int, genome: Genome, generation: int) -> Evaluation:
        hits = problem.items(genome, "search")
        if ask_items is not None:
            hits = hits[np.asarray(ask_items(generation))]
        found.note(genome, hits)
        measures = engine.measure(hits) if engine.measure else ()
        return Evaluation(
            number,
            genome,
            (float(hits.mean()),),
            baseline=number < len(first),
            items=(tuple(hits.tolist()),),
            measures=measures,
        )

    optimizer.tell([evaluate(number, genome, 0) for number, genome in enumerate(first)])
    total = len(first) + evaluations
    for generation, start in enumerate(range(len(first), total, optimizer.population), start=1):
        numbers = range(start, min(start + optimizer.population, total))
        genomes = optimizer.ask(numbers)
        optimizer.tell([evaluate(n, g, generation) for n, g in zip(numbers, genomes, strict=True)])
    return found
