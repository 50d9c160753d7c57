"""Three experts of one base, mixed layer by layer: nine coefficients, to measure a winner's curse on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from torch import Tensor

from benchmarks.miniatures.digits import Digits, deal_digits
from benchmarks.miniatures.networks import LAYERS, Weights, hits, mlp, new_mlp, train
from benchmarks.miniatures.problem import Items, Split
from search_spaces.genome import Axis, Genome, Real

DUTIES: tuple[tuple[int, ...], ...] = ((0, 1, 2, 3), (4, 5, 6), (7, 8, 9))
"""The classes that each expert learned after the base."""
LONGEST = 1.5  # the largest coefficient of a task vector
BASE_STEPS, EXPERT_STEPS = 30, 150


class Experts:
    """A base that knows all digits badly, experts that know some well, and task arithmetic per layer.

    A genome is one coefficient per expert and layer, in [0, 1.5]: theta_l = base_l + sum_k w_kl tau_kl
    (Ilharco et al., 2212.04089, eq. 2, with a coefficient per layer).
    """

    parents = len(DUTIES)

    def __init__(self, seed: int) -> None:
        self.data: Digits = deal_digits(seed)
        self.base, self.experts = _trained(seed)
        self._differences = [{n: expert[n] - self.base[n] for n in self.base} for expert in self.experts]
        self.variables = tuple(
            Real(f"expert {k}, layer {layer}", 0.0, LONGEST, 1 / self.parents, Axis("weight", k, layer))
            for k in range(self.parents)
            for layer in range(LAYERS)
        )

    def baselines(self) -> list[Genome]:
        """Returns the genomes of the three experts and of their average."""
        alone = [tuple(float(k == mine) for k in range(3) for _ in range(LAYERS)) for mine in range(3)]
        return [*alone, (1 / 3,) * len(self.variables)]

    def merged(self, genome: Genome) -> Weights:
        """Returns the weights that a genome stands for."""
        table = np.asarray(genome, dtype=np.float64).reshape(self.parents, LAYERS)
        merged: Weights = {}
        for name, tensor in self.base.items():
            layer = int(name.split(".")[0])
            total = tensor.clone()
            for k, difference in enumerate(self._differences):
                total.add_(difference[name], alpha=float(table[k, layer]))
            merged[name] = total
        return merged

    def items(self, genome: Genome, split: Split) -> Items:
        """Scores a genome's model: 1 for each item of the split answered rightly, 0 for the others."""
        return self.scored(self.merged(genome), split)

    def scored(self, weights: Mapping[str, Tensor], split: Split) -> Items:
        """Scores any weights of this network."""
        items = getattr(self.data, split)
        with torch.no_grad():
            return hits(mlp(weights, items.pixels), items).numpy()


@cache
def _trained(seed: int) -> tuple[Weights, tuple[Weights, ...]]:
    data = deal_digits(seed).train
    base = train(mlp, new_mlp(seed), data, steps=BASE_STEPS, rate=1e-3, seed=seed)
    experts = tuple(
        train(mlp, base, data.of(*duties), steps=EXPERT_STEPS, rate=1e-3, seed=seed + 1 + k)
        for k, duties in enumerate(DUTIES)
    )
    return base, experts
