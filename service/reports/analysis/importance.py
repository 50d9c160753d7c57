"""Importance of genes per objective: PED-ANOVA with histograms.

Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
Subspaces" (arXiv 2304.10255), equation 16: a gene matters as much as its density among the best candidates
differs from its density among all, by the Pearson divergence.  Densities are histograms over the gene's
range with one pseudo-count per bin, in place of the paper's kernel estimates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 12
BEST_SHARE = 0.15  # of the candidates that count as the best
FEWEST = 24  # candidates from which anything can be said
SHUFFLES = 40  # of the candidates, to see how much importance chance alone gives


@dataclass(frozen=True, slots=True)
class GeneImportance:
    """One gene and one objective.

    Attributes:
        share: Of the importances of all genes, which sum to 1.
        chance: The share that it exceeds in one of twenty shuffled rankings.
        direction: The mean place of the best candidates in the gene's range less that of all: -1 to 1.
    """

    gene: str
    place: int
    share: float
    chance: float
    direction: float

    @property
    def is_clear(self) -> bool:
        """Says whether chance alone would hardly give so much."""
        return self.share > self.chance


def importances(
    genes: NDArray[np.float64], fitness: NDArray[np.float64], names: Sequence[str], *, seed: int = 0
) -> tuple[GeneImportance, ...]:
    """Returns the genes by importance; empty where there are too few candidates.

    Args:
        genes: (n, d) Positions in the unit cube.
        fitness: (n,) Larger is better.
        names: Of the d genes.
        seed: Of the shuffles.
    """
    count = len(fitness)
    if count < FEWEST or not len(names):
        return ()
    best = max(round(count * BEST_SHARE), 4)
    bins = np.minimum((np.clip(genes, 0.0, 1.0) * BINS).astype(np.int64), BINS - 1)
    top = np.argsort(-fitness, kind="stable")[:best]
    raw = _divergences(bins, top)
    rng = np.random.default_rng(seed)
    shuffled = np.array([_divergences(bins, rng.choice(count, best, replace=False)) for _ in range(SHUFFLES)])
    total = float(raw.sum()) or 1.0
    chances = np.quantile(shuffled, 0.95, axis=0) / total
    directions = genes[top].mean(axis=0) - genes.mean(axis=0)
    found = [
        GeneImportance(
            name, place, float(raw[place] / total), float(chances[place]), float(directions[place])
        )
        for place, name in enumerate(names)
    ]
    return tuple(sorted(found, key=lambda one: -one.share))


def _divergences(bins: NDArray[np.int64], top: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the Pearson divergence of each gene's density among the best from that among all: (d,)."""
    return np.array([_divergence(_density(column[top]), _density(column)) for column in bins.T])


def _density(column: NDArray[np.int64]) -> NDArray[np.float64]:
    counts = np.bincount(column, minlength=BINS) + 1.0
    return np.asarray(counts / counts.sum())


def _divergence(best: NDArray[np.float64], every: NDArray[np.float64]) -> float:
    return float((every * (best / every - 1.0) ** 2).sum())
