"""The miniatures: whether the published order of methods comes out, over seeds, with standard errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Literal

import numpy as np
import torch

from benchmarks.measuring.report import print_table
from benchmarks.miniatures.problem import Engine, Miniature, search
from benchmarks.miniatures.specialists import Origin, Specialists
from benchmarks.miniatures.stacking import LayerAverages, Stacking
from service.optimizers import MeasureAxis

Scores = dict[str, float]
_AXES = (MeasureAxis("even digits", 0.0, 1.0, 10), MeasureAxis("odd digits", 0.0, 1.0, 10))


@dataclass(frozen=True, slots=True)
class Claim:
    """That one method is better than another, as published."""

    better: str
    worse: str


Verdict = Literal["as published", "no clear difference", "NOT as published"]

SPECIALISTS = (
    Claim("m2n2", "parent A"),
    Claim("m2n2", "average"),
    Claim("m2n2", "best even mixture"),
    Claim("m2n2", "m2n2, no split point"),
    Claim("m2n2", "m2n2, no competition"),
    Claim("map_elites", "m2n2, no split point"),
)
STACKING = (
    Claim("naive stack", "A alone"),
    Claim("stacking, no scales", "naive stack"),
    Claim("stacking, scales", "stacking, no scales"),
    Claim("mixing", "stacking, no scales"),
    Claim("mixing, then stacking", "mixing"),
)
CLAIMS: Mapping[str, Sequence[Claim]] = {
    "specialists, shared base": SPECIALISTS,
    "specialists, unrelated": SPECIALISTS,
    "layer stacking": STACKING,
}


@dataclass(frozen=True, slots=True)
class MiniatureResult:
    """One miniature's test accuracies.

    Attributes:
        scores: Per method, one number per seed, in the seeds' order.
    """

    name: str
    scores: Mapping[str, tuple[float, ...]]

    def difference(self, claim: Claim) -> tuple[float, float]:
        """Returns the mean of the paired differences over seeds and its standard error."""
        paired = np.array(self.scores[claim.better]) - np.array(self.scores[claim.worse])
        return float(paired.mean()), _error(paired)

    def verdict(self, claim: Claim) -> Verdict:
        """Says whether the difference has the published sign, by more than two standard errors."""
        mean, error = self.difference(claim)
        if abs(mean) <= 2 * error:
            return "no clear difference"
        return "as published" if mean > 0 else "NOT as published"


def specialists(seed: int, origin: Origin, evaluations: int) -> Scores:
    """Returns each method's test accuracy on one pair of specialists."""
    parts, model = Specialists(seed, origin), Specialists(seed, origin, "model")
    layers = Specialists(seed, origin, "layers")
    archive = Engine("map_elites", measures=_AXES, measure=parts.halves)
    runs: dict[str, tuple[Miniature, Engine]] = {
        "cma_es, a coefficient per layer": (layers, Engine("cma_es")),
        "map_elites": (parts, archive),
        "m2n2, no split point": (model, Engine("m2n2")),
        "m2n2, no competition": (parts, Engine("m2n2", {"alpha": 0.0})),
        "m2n2": (parts, Engine("m2n2")),
    }
    names = ("parent A", "parent B", "average")
    found = {n: _test(parts, genome) for n, genome in zip(names, parts.baselines(), strict=True)}
    even = [parts.even(ratio) for ratio in np.linspace(0, 1, 41).tolist()]
    found["best even mixture"] = _test(parts, max(even, key=lambda g: parts.items(g, "search").mean()))
    for name, (problem, engine) in runs.items():
        found[name] = _test(problem, search(problem, engine, evaluations=evaluations, seed=seed).best)
    return found


def stacking(seed: int, evaluations: int) -> Scores:
    """Returns each method's test accuracy on one pair of six-block specialists."""
    mixing = LayerAverages(seed)
    plain, scaled = Stacking(seed, scales=False), Stacking(seed, scales=True)
    engine = Engine("cma_es", population=24)
    found = {
        "A alone": _test(plain, plain.baselines()[0]),
        "naive stack": float(plain.naive("test").mean()),
        "plain average": float(plain.average("test").mean()),
        "stacking, no scales": _searched(plain, engine, evaluations, seed),
        "stacking, scales": _searched(scaled, engine, evaluations, seed),
    }
    best = search(mixing, engine, evaluations=evaluations, seed=seed).best
    found["mixing"] = _test(mixing, best)
    both = Stacking(seed, scales=True, first=mixing.merged(best))
    found["mixing, then stacking"] = _searched(both, engine, evaluations, seed)
    return found


def measure_miniatures(*, quick: bool, processes: int) -> list[MiniatureResult]:
    """Runs all miniatures over their seeds, one process per core."""
    seeds, evaluations = (2, 200) if quick else (6, 600)
    kinds: dict[str, Callable[[int], Scores]] = {
        "specialists, shared base": _Shared(evaluations),
        "specialists, unrelated": _Unrelated(evaluations),
        "layer stacking": _Stacked(evaluations if quick else 2 * evaluations),
    }
    results = []
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        for name, run in kinds.items():
            found = list(pool.map(run, range(seeds)))
            results.append(MiniatureResult(name, {m: tuple(one[m] for one in found) for m in found[0]}))
    return results


@dataclass(frozen=True, slots=True)
class _Shared:
    evaluations: int

    def __call__(self, seed: int) -> Scores:
        return specialists(seed, "shared base", self.evaluations)


@dataclass(frozen=True, slots=True)
class _Unrelated:
    evaluations: int

    def __call__(self, seed: int) -> Scores:
        return specialists(seed, "unrelated", self.evaluations)


@dataclass(frozen=True, slots=True)
class _Stacked:
    evaluations: int

    def __call__(self, seed: int) -> Scores:
        return stacking(seed, self.evaluations)


def print_miniatures(results: Sequence[MiniatureResult]) -> None:
    """Prints every method's accuracy and every published comparison."""
    for result in results:
        rows = [(m, f"{np.mean(s):.3f}", f"{_error(np.array(s)):.3f}") for m, s in result.scores.items()]
        count = len(next(iter(result.scores.values())))
        print_table(f"{result.name}: test accuracy over {count} seeds", ("method", "mean", "error"), rows)
        claims = []
        for claim in CLAIMS[result.name]:
            mean, error = result.difference(claim)
            verdict = result.verdict(claim)
            claims.append((f"{claim.better} over {claim.worse}", f"{mean:+.3f} ± {error:.3f}", verdict))
        print_table("  paired differences", ("claim", "difference", ""), claims)


def _searched(problem: Miniature, engine: Engine, evaluations: int, seed: int) -> float:
    return _test(problem, search(problem, engine, evaluations=evaluations, seed=seed).best)


def _test(problem: Miniature, genome: tuple[float | int | str, ...]) -> float:
    return float(problem.items(genome, "test").mean())


def _error(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
