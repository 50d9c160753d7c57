"""Racing: stop asking a candidate as soon as it has lost to the incumbent.

Both answer the same items, so the test is paired, and what all candidates find hard cancels out.
After every batch the weighted mean difference D of the items seen is compared with its standard
error: the candidate is pruned once D + z * se(D) < 0, one-sided.  Where several benchmarks make a front, it
is pruned once this holds of each of them: what the incumbent beats everywhere is not on the front, and
whatever may be better somewhere is asked on.  A pruned candidate is worth the
incumbent's score on all items plus the mean difference on those seen (a control variate: Owen,
Monte Carlo theory, 8.9), which is far less noisy than its own mean over a few items.

Torch-free and pure: asking the items is the worker's task.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evaluators.item_set import ItemIndices

BATCH = 25
Z = 2.3  # one-sided 1 % at each look


@dataclass(frozen=True, slots=True)
class Race:
    """The rival that a candidate races, and when it has lost.

    Attributes:
        incumbent: The incumbent's fitness (larger is better) on each item that the candidate will be
            asked, per benchmark, in the order of the assignment's items.
        weights: The benchmarks' weights in the difference; positive.
        batch: Items of each benchmark between two looks.
        z: Standard errors by which the candidate must lie behind.
        seed: Of the order in which the items are asked.
        everywhere: The candidate has lost only where it lies behind in every benchmark; else in their mean.
    """

    incumbent: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    batch: int = BATCH
    z: float = Z
    seed: int = 0
    everywhere: bool = False

    def rounds(self) -> Iterator[ItemIndices]:
        """Yields the indices, among the assigned items, that are asked between two looks.

        The order is drawn once per seed, so that all candidates of a race share it: items often lie
        sorted by subject, and the first ones would speak for one subject only.
        """
        orders = [
            np.random.default_rng([self.seed, number, len(items)]).permutation(len(items)).tolist()
            for number, items in enumerate(self.incumbent)
        ]
        for start in range(0, max(map(len, orders), default=0), self.batch):
            yield tuple(tuple(sorted(order[start : start + self.batch])) for order in orders)


@dataclass(frozen=True, slots=True)
class RaceResult:
    """How a candidate stands against the incumbent on the items that it was asked.

    Attributes:
        difference: Weighted mean over the benchmarks of candidate less incumbent.
        stderr: Of the difference.
    """

    difference: float
    stderr: float

    def lost(self, z: float) -> bool:
        """Says whether the candidate lies significantly behind."""
        return self.difference + z * self.stderr < 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a candidate would score on all items, and the standard error of that."""

    value: float
    stderr: float


def race_result(race: Race, seen: Sequence[Sequence[int]], answers: Sequence[Sequence[float]]) -> RaceResult:
    """Compares a candidate with the incumbent.

    Args:
        race: With the incumbent's fitness.
        seen: Per benchmark, the indices of the items asked.
        answers: Per benchmark, the candidate's fitness on them.
    """
    difference = variance = 0.0
    total = sum(race.weights)
    for incumbent, indices, own, weight in zip(race.incumbent, seen, answers, race.weights, strict=True):
        if not indices:
            continue
        share = weight / total
        gaps_N = np.asarray(own, float) - np.asarray(incumbent, float)[list(indices)]
        difference += share * float(gaps_N.mean())
        variance += share**2 * _variance_of_mean(gaps_N)
    return RaceResult(difference, math.sqrt(variance))


def has_lost(race: Race, seen: Sequence[Sequence[int]], answers: Sequence[Sequence[float]]) -> bool:
    """Says whether a candidate lies significantly behind on the items seen; arguments as of `race_result`."""
    if not race.everywhere:
        return race_result(race, seen, answers).lost(race.z)
    results = []
    for place in range(len(race.incumbent)):
        alone = replace(race, incumbent=race.incumbent[place : place + 1], weights=(1.0,))
        results.append(race_result(alone, seen[place : place + 1], answers[place : place + 1]))
    return all(result.lost(race.z) for result in results)


def estimate(incumbent: Sequence[float], seen: Sequence[int], own: Sequence[float]) -> Estimate:
    """Returns the control-variate estimate of one benchmark's fitness.

    With i the incumbent on all N items and d the differences on the n seen:
    value = mean(i) + mean(d), variance = var(i)/N + var(d)/n + 2 cov(i, d)/N.
    """
    incumbent_N, indices = np.asarray(incumbent, float), list(seen)
    gaps_n = np.asarray(own, float) - incumbent_N[indices]
    value = float(incumbent_N.mean() + gaps_n.mean())
    if len(indices) < 2:
        return Estimate(value, math.sqrt(_variance_of_mean(incumbent_N)))
    shared = float(np.cov(incumbent_N[indices], gaps_n, ddof=1)[0, 1])
    variance = _variance_of_mean(incumbent_N) + _variance_of_mean(gaps_n) + 2.0 * shared / len(incumbent_N)
    return Estimate(value, math.sqrt(max(variance, 0.0)))


def _variance_of_mean(values: np.ndarray) -> float:
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else math.inf
