"""Crossover and mutation in the unit cube, as the multi-objective genetic algorithms do them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CROSSOVER_PROBABILITY = 0.9
CROSSOVER_ETA = 15.0
MUTATION_ETA = 20.0


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
