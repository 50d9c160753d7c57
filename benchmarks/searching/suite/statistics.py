"""Statistics over seeds and problems: means with errors, paired differences, ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.searching.suite.course import STEP
from benchmarks.searching.suite.records import Record

BELOW = 0.03  # a peer's level is its own end less this much
_DRAWS = 200


@dataclass(frozen=True)
class Curve:
    """One contestant's runs of one problem.

    Attributes:
        held_out: Shape [seeds, looks]; the look at place i comes after 5 (i + 1) evaluations.
        seconds: Likewise.
    """

    seeds: tuple[int, ...]
    held_out: NDArray[np.float64]
    seconds: NDArray[np.float64]

    @classmethod
    def of(cls, records: Sequence[Record], budget: int) -> Curve:
        """Returns the curve; before anything could be scored it is 0, after an early end it stays."""
        shape = (len(records), budget // STEP)
        held_out, seconds = np.zeros(shape), np.zeros(shape)
        for row, record in enumerate(records):
            for look in record.looks:
                held_out[row, look.evaluations // STEP - 1 :] = look.held_out
                seconds[row, look.evaluations // STEP - 1 :] = look.seconds
        return cls(tuple(record.run.seed for record in records), held_out, seconds)

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """Over seeds, shape [looks]."""
        return np.asarray(self.held_out.mean(axis=0))

    def at(self, evaluations: int) -> NDArray[np.float64]:
        """Returns every seed's value after so many evaluations."""
        return np.asarray(self.held_out[:, evaluations // STEP - 1])

    def evaluations_to(self, level: float) -> float:
        """Returns after how many evaluations the mean over seeds reaches a level; infinite where never."""
        return _first(self.mean, level)

    def seconds_to(self, level: float) -> float:
        """Returns after how many seconds the mean over seeds reaches a level; infinite where never."""
        evaluations = self.evaluations_to(level)
        if math.isinf(evaluations):
            return math.inf
        return float(self.seconds[:, int(evaluations) // STEP - 1].mean())


def mean_and_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the mean and its standard error; the error is not known (nan) of one value."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), error


def paired(one: Curve, other: Curve, evaluations: int) -> tuple[float, float]:
    """Returns one less the other over the seeds that both ran, with its standard error."""
    shared = [seed for seed in one.seeds if seed in other.seeds]
    rows = [[curve.seeds.index(seed) for seed in shared] for curve in (one, other)]
    return mean_and_error(one.at(evaluations)[rows[0]] - other.at(evaluations)[rows[1]])


def peer_level(peers: Mapping[str, Curve]) -> float:
    """Returns the level that counts: the highest end of any peer, less a little."""
    return max(float(curve.mean[-1]) for curve in peers.values()) - BELOW


def evaluations_ratio(ours: Curve, peers: Mapping[str, Curve]) -> tuple[float, float]:
    """Returns the fastest peer's evaluations to the peers' level over ours, and its error by bootstrap.

    0 where ours never gets there.
    """
    draw = np.random.default_rng(0)
    ratio = _ratio(ours.held_out, [curve.held_out for curve in peers.values()])
    drawn = [
        _ratio(_drawn(ours.held_out, draw), [_drawn(curve.held_out, draw) for curve in peers.values()])
        for _ in range(_DRAWS)
    ]
    return ratio, float(np.std(drawn)) if len(ours.seeds) > 1 else math.nan


def _ratio(ours: NDArray[np.float64], peers: Sequence[NDArray[np.float64]]) -> float:
    means = [rows.mean(axis=0) for rows in peers]
    level = max(float(mean[-1]) for mean in means) - BELOW
    own = _first(ours.mean(axis=0), level)
    return 0.0 if math.isinf(own) else min(_first(mean, level) for mean in means) / own


def _drawn(rows: NDArray[np.float64], draw: np.random.Generator) -> NDArray[np.float64]:
    return rows[draw.integers(len(rows), size=len(rows))]


def _first(mean: NDArray[np.float64], level: float) -> float:
    reached = np.flatnonzero(mean >= level)
    return float(STEP * (reached[0] + 1)) if len(reached) else math.inf


def ranks(curves: Mapping[str, Curve], evaluations: int) -> dict[str, float]:
    """Returns each contestant's place by its mean, 1 the best; equals share the mean of their places."""
    means = {name: round(float(curve.at(evaluations).mean()), 9) for name, curve in curves.items()}
    return {
        name: 1 + sum(v > mean for v in means.values()) + (sum(v == mean for v in means.values()) - 1) / 2
        for name, mean in means.items()
    }


def is_first(name: str, curves: Mapping[str, Curve], evaluations: int) -> bool:
    """Says whether a contestant is first, or less than one standard error behind it."""
    best = max(curves, key=lambda other: float(curves[other].at(evaluations).mean()))
    behind, error = paired(curves[best], curves[name], evaluations)
    return best == name or behind <= (0.0 if math.isnan(error) else error)
