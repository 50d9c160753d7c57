"""NSGA-II: the standard multi-objective genetic algorithm (Deb et al., 2002)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import moocore
import numpy as np
from numpy.typing import NDArray

from search_spaces.genome import Genome, Real
from service.optimizers.base import Evaluation, Optimizer, OptimizerSetup, Origin

CROSSOVER_PROBABILITY = 0.9
CROSSOVER_ETA = 15.0
MUTATION_ETA = 20.0
MOST_ATTEMPTS = 10


class Nsga2(Optimizer):
    """Breeds from the least dominated candidates, those in thin regions of the front first.

    Baselines are members of the population from the start.  Evolved candidates compete with the
    members once a generation of them has been told.  Whoever keeps the constraints dominates those
    who break them, and of two who break them the one who breaks them less (section VI-A).
    """

    smallest_population: ClassVar[int] = 2
    operator: ClassVar[str] = "crossover and mutation"

    def __init__(self, setup: OptimizerSetup) -> None:
        super().__init__(setup)
        self._is_real = np.array([isinstance(variable, Real) for variable in self.variables])
        self._members: list[Evaluation] = []
        self._pending: list[Evaluation] = []
        self._tried: set[Genome] = set()
        self._has_selected = False
        self._ranks: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._crowding: NDArray[np.float64] = np.empty(0)

    @property
    def population(self) -> int:
        """How many members survive, and how many candidates make a generation."""
        return self.setup.population or 20

    def learn(self, evaluation: Evaluation) -> None:
        """Lets a generation of evolved candidates, once complete, compete with the members."""
        self._tried.add(evaluation.genome)
        if evaluation.baseline:
            self._members.append(evaluation)
            self._ranks, self._crowding = ranks_and_crowding(
                [m.fitness for m in self._members], [m.violation for m in self._members]
            )
            return
        self._pending.append(evaluation)
        if len(self._pending) == self.population:
            self._select([*self._members, *self._pending])
            self._pending = []
            self._has_selected = True

    def _select(self, rivals: Sequence[Evaluation]) -> None:
        """Keeps the best `population` of the rivals: by rank, then by crowding distance."""
        ranks, crowding = ranks_and_crowding(
            [rival.fitness for rival in rivals], [rival.violation for rival in rivals]
        )
        kept = np.lexsort((-crowding, ranks))[: self.population]
        self._members = [rivals[i] for i in kept]
        self._ranks, self._crowding = ranks[kept], crowding[kept]

    def propose(self, number: int) -> Genome:
        """Returns a child of two members, or of the first generation a random genome."""
        return self._new(number)[0]

    def origin(self, number: int) -> Origin:
        """Returns the members that the candidate was bred from."""
        return self._new(number)[1]

    def _new(self, number: int) -> tuple[Genome, Origin]:
        """Returns a genome that was not tried yet, as far as a few attempts find one."""
        rng = self.rng(number)
        genome, origin = self._draw(rng)
        for _ in range(MOST_ATTEMPTS):
            if genome not in self._tried:
                break
            genome, origin = self._draw(rng)
        return genome, origin

    def _draw(self, rng: np.random.Generator) -> tuple[Genome, Origin]:
        if not self._has_selected:
            return self._first(rng)
        one, other = (self._tournament(rng) for _ in range(2))
        child = crossover(self.position_of(one.genome), self.position_of(other.genome), rng)
        origin = Origin(self.operator, tuple(dict.fromkeys((one.number, other.number))))
        return self.genome_at(mutation(child, self._is_real, rng)), origin

    def _first(self, rng: np.random.Generator) -> tuple[Genome, Origin]:
        """Returns a point of the first generation: half of them anywhere, half between two baselines."""
        count = len(self.variables)
        if len(self._members) < 2 or rng.random() < 0.5:
            return self.genome_at(rng.random(count)), Origin("random")
        one, other = (self._members[i] for i in rng.choice(len(self._members), size=2, replace=False))
        start, end = self.position_of(one.genome), self.position_of(other.genome)
        noise = rng.normal(scale=self.setup.sigma / 2, size=count)
        between = np.clip(start + rng.random(count) * (end - start) + noise, 0.0, 1.0)
        return self.genome_at(between), Origin("between baselines", (one.number, other.number))

    def _tournament(self, rng: np.random.Generator) -> Evaluation:
        """Returns the better of two members: of lower rank, or of the same rank and less crowded."""
        one, other = map(int, rng.choice(len(self._members), size=2, replace=False))
        if (self._ranks[one], -self._crowding[one]) <= (self._ranks[other], -self._crowding[other]):
            return self._members[one]
        return self._members[other]


def ranks_and_crowding(
    fitness: Sequence[tuple[float, ...]], violations: Sequence[float] = ()
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Returns each point's front (0 is dominated by none) and its crowding distance within it.

    The crowding distance is the sum, over the objectives, of the gap between a point's neighbours as
    a share of the front's extent; infinite at the ends (Deb et al., 2002, section III-B).  Points with
    a violation come after all others, a front for each size of it.
    """
    points = np.array(fitness, dtype=np.float64)
    broken = np.array(violations or [0.0] * len(points))
    ranks = np.zeros(len(points), dtype=np.int64)
    if (broken == 0).any():
        ranks[broken == 0] = moocore.pareto_rank(points[broken == 0], maximise=True)
    sizes = np.unique(broken[broken > 0])
    ranks[broken > 0] = ranks.max(initial=0) + 1 + np.searchsorted(sizes, broken[broken > 0])
    crowding = np.zeros(len(points))
    for rank in np.unique(ranks):
        front = np.flatnonzero(ranks == rank)
        for values in points[front].T:
            order = np.argsort(values, kind="stable")
            extent = values[order[-1]] - values[order[0]]
            crowding[front[order[[0, -1]]]] = np.inf
            if extent > 0:
                crowding[front[order[1:-1]]] += (values[order[2:]] - values[order[:-2]]) / extent
    return ranks, crowding


def crossover(
    one: NDArray[np.float64], other: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Returns a child in the unit cube by simulated binary crossover (Deb & Agrawal, 1995).

    Half of the genes are mixed, the others are inherited from `one`.  The spread is bounded so that
    no child lies outside the cube.
    """
    mixes, draws, sides = rng.random(len(one)) < 0.5, rng.random(len(one)), rng.random(len(one)) < 0.5
    low, high = np.minimum(one, other), np.maximum(one, other)
    gap = high - low
    mixes &= gap > 1e-12
    if rng.random() >= CROSSOVER_PROBABILITY or not mixes.any():
        return one
    room = np.where(sides, 1 - high, low)  # between the outer parent and the wall on the child's side
    alpha = 2 - (1 + 2 * room / np.where(mixes, gap, 1.0)) ** -(CROSSOVER_ETA + 1)
    scaled = draws * alpha
    spread = np.where(scaled <= 1, scaled, 1 / (2 - scaled)) ** (1 / (CROSSOVER_ETA + 1))
    child = (low + high + np.where(sides, 1, -1) * spread * gap) / 2
    return np.where(mixes, child, one)


def mutation(
    position: NDArray[np.float64], is_real: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Returns the point with one gene in n, on average, changed: polynomial mutation (Deb & Goyal, 1996).

    Discrete genes are drawn afresh: a small step would not leave the cell they stand for.
    """
    changes, draws, fresh = rng.random(len(position)) < 1 / len(position), *rng.random((2, len(position)))
    power = MUTATION_ETA + 1
    down = (2 * draws + (1 - 2 * draws) * (1 - position) ** power) ** (1 / power) - 1
    up = 1 - (2 * (1 - draws) + (2 * draws - 1) * position**power) ** (1 / power)
    moved = position + np.where(draws < 0.5, down, up)
    return np.where(changes, np.where(is_real, moved, fresh), position)
