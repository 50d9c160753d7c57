"""What an optimizer is, and the law that all of them keep."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import SpaceError
from search_spaces.genome import Genome, Real, Variable, from_unit_cube, initial_genome
from service.archives.grid import MeasureAxis
from service.optimizers.options import Option, OptionValue, checked_options

__all__ = ["Evaluation", "Forecast", "MeasureAxis", "Optimizer", "OptimizerSetup", "Origin"]

MOST_DRAWS = 10  # of a genome anywhere, before it is drawn nearer to where the search begins


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an optimizer is told of a candidate.

    Attributes:
        fitness: One number per objective, larger is better.
        baseline: Not proposed by this optimizer: a parent, an average, a user's own recipe, or what another
            experiment scored.
        items: Per objective, the fitness of each item of its benchmark; empty where it was not kept.
        measures: One per measure of the setup; empty where the candidate has none (it failed).
        violation: By how much the constraints are broken, summed; 0 is feasible.
        margins: Per objective, by how much each item is right (wrong below 0); an entry is empty where that
            is not known, and so is the whole where no objective's are.
    """

    number: int
    genome: Genome
    fitness: tuple[float, ...]
    baseline: bool = False
    items: tuple[tuple[float, ...], ...] = ()
    measures: tuple[float, ...] = ()
    violation: float = 0.0
    margins: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a candidate comes from.

    Attributes:
        operator: What made it (`crossover`, `sample` ...).
        ancestors: Numbers of the candidates it was made of, the first mentioned first.
    """

    operator: str
    ancestors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Forecast:
    """What further candidates can be expected to gain.

    Attributes:
        candidates: How many.
        gain: Of the weighted mean of the objectives, over what the best one is held for.
        error: The standard deviation of that gain.
    """

    candidates: int
    gain: float
    error: float

    def __str__(self) -> str:
        """Says so for people: `+0.002 ± 0.003 for 40 further candidates`."""
        return f"{self.gain:+.3f} ± {self.error:.3f} for {self.candidates} further candidates"


@dataclass(frozen=True, slots=True)
class OptimizerSetup:
    """What every optimizer is built from.

    Attributes:
        weights: One per objective: the sum that single-objective optimizers climb.
        population: Candidates per generation; None leaves it to the algorithm.
        sigma: First step as a share of each variable's range.
        measures: What places a candidate in an archive, beside its fitness.
        parents: How many parents the pool has; 0 where it is not known.
        options: Settings that only this algorithm has.
        budget: How many candidates will be asked for, where that is known.
        kinship: How alike any two parents are, -1 to 1, shape [parents, parents]; None where it
            was not measured.
        is_feasible: Says whether a genome stands for a recipe.  Pure, and the same for a genome for ever;
            None where all do.
    """

    variables: tuple[Variable, ...]
    seed: int
    weights: tuple[float, ...] = (1.0,)
    population: int | None = None
    sigma: float = 1 / 6
    measures: tuple[MeasureAxis, ...] = ()
    parents: int = 0
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    budget: int | None = None
    kinship: tuple[tuple[float, ...], ...] | None = None
    is_feasible: Callable[[Genome], bool] | None = None


class Optimizer(ABC):
    """Proposes genomes (`ask`) and learns from evaluations (`tell`).

    A genome is a function of three things: the seed, the evaluations told so far in their order,
    and the candidate's number.  So the controller never stores an optimizer: after a restart it
    builds a new one and tells it the history.  It knows nothing of recipes, models or databases.

    The law is half kept by the shape of this class: an optimizer proposes one candidate and learns
    from one evaluation at a time, so that how asks and tells are cut into calls cannot matter.  The
    other half is up to `propose`: whatever it draws it draws from `rng(number)`, and it changes
    nothing.

    A candidate that breaks a constraint is worse than every one that keeps them all, and the worse
    the more it breaks them, whatever its fitness (Deb, 2000): `rank` and `penalised` say so.

    Raises:
        SpaceError: The setup asks for a smaller population than the algorithm works with, for a
            setting that it does not have, or does not say what it needs.
    """

    smallest_population: ClassVar[int] = 1
    operator: ClassVar[str] = "sample"
    steady_state: ClassVar[bool] = False  # whether it is best asked for one candidate at a time
    supports_reevaluation: ClassVar[bool] = False  # whether `retell` changes all that it keeps of a candidate
    forecasts: ClassVar[bool] = False  # whether it foresees what further candidates gain
    needs_measures: ClassVar[bool] = False
    needs_kinship: ClassVar[bool] = False  # how alike the parents are, which is expensive to find out
    reads_items: ClassVar[bool] = (
        False  # `Evaluation.items` and `margins`, which a recovery else leaves packed
    )
    declared_options: ClassVar[Mapping[str, Option]] = {}

    def __init__(self, setup: OptimizerSetup) -> None:
        self.setup = setup
        self.variables = setup.variables
        self._total = math.fsum(setup.weights)
        reals = [i for i, variable in enumerate(self.variables) if isinstance(variable, Real)]
        self._reals = np.array(reals, dtype=np.intp)
        self._lows = np.array([variable.low for variable in self.variables if isinstance(variable, Real)])
        highs = np.array([variable.high for variable in self.variables if isinstance(variable, Real)])
        self._spans = highs - self._lows
        self._others = [i for i, variable in enumerate(self.variables) if not isinstance(variable, Real)]
        self.options = checked_options(self.declared_options, setup.options)
        if self.needs_measures and not setup.measures:
            raise SpaceError(
                "measures", "none are given", "name one or more with range and cells, or another algorithm"
            )
        if setup.population is not None and setup.population < self.smallest_population:
            raise SpaceError(
                "optimizer.population",
                f"{setup.population} candidates are too few to learn from",
                f"use {self.smallest_population} or more",
            )

    @property
    @abstractmethod
    def population(self) -> int:
        """How many candidates make a generation."""

    def ask(self, numbers: Sequence[int]) -> list[Genome]:
        """Returns one genome per candidate number.  Changes nothing that a later ask would notice."""
        return [self.propose(number) for number in numbers]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Learns from evaluations; how they are cut into calls does not matter, their order does.

        Raises:
            ValueError: An evaluation does not have one finite number per objective and measure and one
                gene per variable, its violation is no number from 0, or its margins are no finite numbers
                per objective; nothing was learned from any of them.
        """
        for evaluation in evaluations:
            self._check(evaluation)
        for evaluation in evaluations:
            self.learn(evaluation)

    def retell(self, evaluations: Sequence[Evaluation]) -> None:
        """Learns that candidates told before are worth something else, as they have answered more.

        Where they are kept, as members, elites or the best so far, they count anew from now on; what was
        adapted to their old worth stays as it is.

        Raises:
            ValueError: As `tell` does.
            TypeError: This algorithm keeps what it was told once.
        """
        if evaluations and not self.supports_reevaluation:
            raise TypeError(f"{type(self).__name__} cannot take back what it was told")
        for evaluation in evaluations:
            self._check(evaluation)
        for evaluation in evaluations:
            self.learn_again(evaluation)

    def learn_again(self, evaluation: Evaluation) -> None:  # noqa: B027 - most keep something, some nothing
        """Replaces what is kept of a candidate; an algorithm that keeps nothing has nothing to do."""

    @abstractmethod
    def propose(self, number: int) -> Genome:
        """Returns the genome of one candidate, drawn from `rng(number)`.  Changes nothing."""

    def origin(self, number: int) -> Origin:
        """Returns where the genome that `propose` returns now comes from.  Changes nothing."""
        del number
        return Origin(self.operator)

    @abstractmethod
    def learn(self, evaluation: Evaluation) -> None:
        """Learns from one evaluation, which has been checked."""

    def rng(self, number: int) -> np.random.Generator:
        """Returns the candidate's own source of randomness."""
        return np.random.default_rng([self.setup.seed, number])

    def anywhere(self, rng: np.random.Generator) -> Genome:
        """Returns a genome drawn evenly from the feasible ones.

        Where these are so few that several draws find none, the last one is drawn nearer to the start.
        """
        for _ in range(MOST_DRAWS):
            genome = self.genome_at(rng.random(len(self.variables)))
            if self.is_feasible(genome):
                return genome
        return self.nearer(genome, rng)

    def nearer(self, genome: Genome, rng: np.random.Generator) -> Genome:
        """Returns a feasible mixture of the genome and the initial one, as far as there is any.

        Every gene is one or the other's.  The share of the genome's own is drawn between 0 and 1, and
        halved until the mixture is feasible: so some are near the start and some near the limits.
        """
        if self.is_feasible(genome):
            return genome
        start, turns, share = initial_genome(self.variables), rng.random(len(genome)), rng.random()
        while share * len(genome) > 1 / 2:
            mixed = tuple(g if t < share else s for g, s, t in zip(genome, start, turns, strict=True))
            if self.is_feasible(mixed):
                return mixed
            share /= 2
        return start

    def is_feasible(self, genome: Genome) -> bool:
        """Says whether the genome stands for a recipe, as far as the setup knows."""
        return self.setup.is_feasible is None or self.setup.is_feasible(genome)

    def mean(self) -> Genome | None:
        """Returns the middle of what would be proposed next; None where there is no such middle.

        The examination scores it beside the best candidates: it is less lucky than they are.
        """
        return None

    def forecast(self, candidates: int) -> Forecast | None:
        """Returns what so many further candidates can be expected to gain; None where that is not known.

        Changes nothing, and follows from what was told.
        """
        del candidates
        return None

    def scalar(self, fitness: Sequence[float]) -> float:
        """Returns the weighted mean of the objectives, for optimizers that climb one number."""
        return math.fsum(w * f for w, f in zip(self.setup.weights, fitness, strict=True)) / self._total

    def rank(self, evaluation: Evaluation) -> tuple[float, float]:
        """Returns what compares candidates where one number is climbed: the larger is the better one.

        Feasible ones are ordered by their scalar, infeasible ones come after them by violation.
        """
        return (-evaluation.violation, self.scalar(evaluation.fitness))

    def penalised(self, evaluations: Sequence[Evaluation]) -> list[float]:
        """Returns one number per evaluation: the scalar, or of infeasible ones less than any feasible's."""
        scalars = [self.scalar(evaluation.fitness) for evaluation in evaluations]
        floor = min((s for s, e in zip(scalars, evaluations, strict=True) if not e.violation), default=0.0)
        unit = max(abs(floor), 1.0)
        return [
            floor - unit * (1 + e.violation / (1 + e.violation)) if e.violation else s
            for s, e in zip(scalars, evaluations, strict=True)
        ]

    def genome_at(self, position: NDArray[np.float64]) -> Genome:
        """Returns the genome at a point of the unit cube, shape [variables], to nine decimals.

        Linear algebra differs in its last bits between processors; rounded, a search that goes on
        on another machine proposes what it would have proposed on the first.
        """
        return from_unit_cube(self.variables, np.round(position, 9))

    def position_of(self, genome: Genome) -> NDArray[np.float64]:
        """Returns the genome's point in the unit cube, shape [variables].

        The same as `to_unit_cube`, with all real variables at once: a recovery does this thousands of
        times.
        """
        position = np.empty(len(self.variables))
        if len(self._reals):
            genes = np.array([genome[i] for i in self._reals], dtype=np.float64)
            position[self._reals] = (genes - self._lows) / self._spans
        for i in self._others:
            position[i] = self.variables[i].to_unit(genome[i])
        return position

    def _check(self, evaluation: Evaluation) -> None:
        number, fitness = evaluation.number, evaluation.fitness
        if len(fitness) != len(self.setup.weights) or not all(map(math.isfinite, fitness)):
            raise ValueError(
                f"candidate {number} was told with fitness {fitness}; "
                f"tell {len(self.setup.weights)} finite number(s), one per objective"
            )
        if len(evaluation.genome) != len(self.variables):
            raise ValueError(
                f"candidate {number} was told with {len(evaluation.genome)} genes; "
                f"tell one for each of the {len(self.variables)} variables"
            )
        self._check_place(evaluation)
        self._check_margins(evaluation)

    def _check_place(self, evaluation: Evaluation) -> None:
        number, measures, violation = evaluation.number, evaluation.measures, evaluation.violation
        if measures and (len(measures) != len(self.setup.measures) or not all(map(math.isfinite, measures))):
            raise ValueError(
                f"candidate {number} was told with measures {measures}; "
                f"tell {len(self.setup.measures)} finite number(s), one per measure, or none"
            )
        if not (math.isfinite(violation) and violation >= 0):
            raise ValueError(
                f"candidate {number} was told with a violation of {violation}; "
                "tell a finite number, 0 where all constraints hold"
            )

    def _check_margins(self, evaluation: Evaluation) -> None:
        number, margins = evaluation.number, evaluation.margins
        if margins and len(margins) != len(self.setup.weights):
            raise ValueError(
                f"candidate {number} was told with margins of {len(margins)} objective(s); "
                f"tell those of {len(self.setup.weights)}, one entry per objective, or none"
            )
        for place, of_items in enumerate(margins):
            bad = next((margin for margin in of_items if not math.isfinite(margin)), None)
            if bad is not None:
                raise ValueError(
                    f"candidate {number} was told with a margin of {bad} in objective {place}; "
                    "tell finite numbers, or no margins of this objective"
                )
