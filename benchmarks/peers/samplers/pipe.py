"""Pipe: how a peer is asked for genes and told what they are worth.  Standard library alone.

A peer reads a line of JSON (`Order`), answers `{"ask": [[gene, ...], ...], "mean": [...] or null}`, reads
`{"fitness": [[one per objective] or null, ...]}`, answers again, until its input ends.  Fitness is maximized;
null stands for a model that cannot be made.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# The protocol owns the real standard output; whatever a library prints goes to standard error.
_ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

Genes = Sequence[float]
Fitness = tuple[float, ...]


@dataclass(frozen=True)
class Gene:
    """A number to be chosen: its usual bounds, where mergekit-evolve would start, if it is a weight."""

    low: float
    high: float
    start: float
    is_weight: bool


@dataclass(frozen=True)
class Order:
    """A problem.

    Attributes:
        weights: One per objective, for what climbs their weighted mean.
        is_front: The front counts, not one number.
    """

    genes: tuple[Gene, ...]
    weights: tuple[float, ...]
    seed: int
    budget: int
    is_front: bool
    settings: dict[str, Any] = field(default_factory=dict)

    def scalar(self, fitness: Fitness) -> float:
        """Returns the weighted mean of the objectives."""
        return sum(w * f for w, f in zip(self.weights, fitness, strict=True)) / sum(self.weights)

    def goals(self, fitness: Fitness) -> Fitness:
        """Returns what is maximized: all objectives where the front counts, else their weighted mean."""
        return fitness if self.is_front else (self.scalar(fitness),)


def read_order() -> Order:
    """Returns the problem, once."""
    order = json.loads(sys.stdin.readline())
    genes = tuple(Gene(**gene) for gene in order.pop("genes"))
    return Order(genes=genes, weights=tuple(order.pop("weights")), **order)


def evaluate(order: Order, asked: Sequence[Genes], mean: Genes | None = None) -> list[Fitness]:
    """Returns what these genes are worth, fewer where the budget ends; 0 where no model can be made.

    Raises:
        SystemExit: Nothing more is asked for.
    """
    genes = [[float(gene) for gene in one] for one in asked]
    middle = None if mean is None else [float(gene) for gene in mean]
    _ANSWERS.write(json.dumps({"ask": genes, "mean": middle}) + "\n")
    _ANSWERS.flush()
    line = sys.stdin.readline()
    if not line:
        raise SystemExit(0)
    nothing = (0.0,) * len(order.weights)
    return [nothing if one is None else tuple(one) for one in json.loads(line)["fitness"]]
