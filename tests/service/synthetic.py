"""Synthetic landscapes: fitness that costs nothing, and a loop that searches it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.genome import Axis, Choice, Genome, Integer, Real, Variable, to_unit_cube
from service.optimizers.base import Evaluation, MeasureAxis, Optimizer

Landscape = Callable[[Genome], tuple[float, ...]]

MIXED_VARIABLES: tuple[Variable, ...] = (
    Real("weight", 0.0, 1.5, 0.5, Axis("weight", 0, 0)),
    Integer("layers", 1, 4, 2),
    Choice("method", ("linear", "slerp", "ties"), "linear"),
    Real("density", 0.1, 1.0, 0.7, Axis("density", 1, 1)),
)


def reals(count: int) -> tuple[Variable, ...]:
    """Returns variables like those of a parameter space: three parents' weights, layer by layer."""
    axes = (Axis("weight", i % 3, i // 3) for i in range(count))
    return tuple(Real(f"weight_{i}", 0.0, 1.5, 0.75, axis) for i, axis in enumerate(axes))


def _places(count: int, seed: int, low: float, high: float) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(low, high, count)


def ellipsoid(variables: Sequence[Variable], *, condition: float = 100.0, seed: int = 1) -> Landscape:
    """Returns a rotated ellipsoid whose top, 0, lies somewhere inside; `condition` 1 makes a sphere."""
    count = len(variables)
    top = _places(count, seed, 0.15, 0.85)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(count, count)))[0]
    axes = np.geomspace(1.0, condition**0.5, count)

    def fitness(genome: Genome) -> tuple[float, ...]:
        return (-float(np.mean((axes * (rotation @ (to_unit_cube(variables, genome) - top))) ** 2)),)

    return fitness


def trade_off(variables: Sequence[Variable], *, seed: int = 1, reach: float = 0.3) -> Landscape:
    """Returns two skills, 0 to 1, that ask for different genomes: the front lies between their tops."""
    count = len(variables)
    tops = [_places(count, seed + i, 0.1, 0.9) for i in range(2)]

    def fitness(genome: Genome) -> tuple[float, ...]:
        position = to_unit_cube(variables, genome)
        return tuple(float(np.exp(-np.mean(((position - top) / reach) ** 2))) for top in tops)

    return fitness


def noisy(landscape: Landscape, *, items: int) -> Landscape:
    """Returns what a benchmark of so many items would measure of skills from 0 to 1.

    The same genome always gets the same score, as the same model does.
    """

    def fitness(genome: Genome) -> tuple[float, ...]:
        rng = np.random.default_rng(zlib.crc32(repr(genome).encode()))
        return tuple(float(rng.binomial(items, min(max(f, 0.0), 1.0))) / items for f in landscape(genome))

    return fitness


def measured(variables: Sequence[Variable], genome: Genome, axes: Sequence[MeasureAxis]) -> tuple[float, ...]:
    """Returns measures that every range holds: each the mean of a part of the genes."""
    position = to_unit_cube(variables, genome)
    return tuple(
        axis.low + (axis.high - axis.low) * float(position[place::2].mean() if len(position) > place else 0.5)
        for place, axis in enumerate(axes)
    )


def evaluations(
    landscape: Landscape,
    numbers: Sequence[int],
    genomes: Sequence[Genome],
    *,
    baseline: bool = False,
    optimizer: Optimizer | None = None,
) -> list[Evaluation]:
    """Returns what is told of these candidates, with the optimizer's measures if one is given."""
    told = []
    for number, genome in zip(numbers, genomes, strict=True):
        fitness = landscape(genome)
        items = tuple(tuple(float(f > threshold) for threshold in _ITEMS) for f in fitness)
        axes = optimizer.setup.measures if optimizer else ()
        measures = measured(optimizer.variables, genome, axes) if optimizer and axes else ()
        told.append(Evaluation(number, genome, fitness, baseline, items, measures))
    return told


_ITEMS = tuple(i / 20 for i in range(20))  # an item is answered by those who are better than this


def search(
    optimizer: Optimizer, landscape: Landscape, budget: int, *, baselines: Sequence[Genome] = ()
) -> list[Evaluation]:
    """Searches a generation at a time; returns every evaluation, in the order told."""
    history = evaluations(landscape, range(len(baselines)), baselines, baseline=True, optimizer=optimizer)
    optimizer.tell(history)
    end = len(baselines) + budget
    for start in range(len(baselines), end, optimizer.population):
        numbers = range(start, min(start + optimizer.population, end))
        told = evaluations(landscape, numbers, optimizer.ask(numbers), optimizer=optimizer)
        optimizer.tell(told)
        history += told
    return history
