"""Two specialists of half the digits each, mixed part by part: the miniature of M2N2 (2508.16204)."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from torch import Tensor

from benchmarks.miniatures.digits import deal_digits
from benchmarks.miniatures.networks import LAYERS, Weights, hits, mlp, new_mlp, train
from benchmarks.miniatures.problem import Items, Split
from search_spaces.genome import Axis, Genome, Real

HALVES = (tuple(range(5)), tuple(range(5, 10)))
BLOCKS = (16, 16, 2)
"""Into how many groups of neighbouring units each layer is cut, where genes are fine."""
BASE_STEPS, STEPS = 30, 200
Origin = Literal["shared base", "unrelated"]
Grain = Literal["parts", "layers", "model"]
"""Where genes act: on groups of units, on layers, or on the whole model at once."""


class Specialists:
    """Parents that know five digits each, and a genome of one coefficient per parent and place.

    Specialists of one base are mixed as task vectors, theta = base + sum_k w_k tau_k; unrelated ones as
    weights, theta = sum_k w_k theta_k.  Coefficients are in [0, 1.5].
    """

    parents = 2

    def __init__(self, seed: int, origin: Origin, grain: Grain = "parts") -> None:
        self.data, self.grain = deal_digits(seed), grain
        self.base, self.specialists = _trained(seed, origin)
        self._differences = [{n: one[n] - self.base[n] for n in self.base} for one in self.specialists]
        places = {"parts": sum(BLOCKS), "layers": LAYERS, "model": 1}[grain]
        self.variables = tuple(
            Real(f"{'AB'[k]}, place {place}", 0.0, 1.5, 0.5, Axis("weight", k, place))
            for place in range(places)
            for k in range(self.parents)
        )
        self._widths = {name: _widths(name, tensor, grain) for name, tensor in self.base.items()}

    def even(self, ratio: float) -> Genome:
        """Returns the genome of the same mixture everywhere: 1 - ratio of A, and ratio of B."""
        return (1 - ratio, ratio) * (len(self.variables) // 2)

    def baselines(self) -> list[Genome]:
        """Returns the genomes of both specialists and of their average."""
        return [self.even(0.0), self.even(1.0), self.even(0.5)]

    def merged(self, genome: Genome) -> Weights:
        """Returns the weights that a genome stands for."""
        table = torch.tensor(genome, dtype=torch.float32).view(-1, self.parents)
        merged: Weights = {}
        for name, tensor in self.base.items():
            first, widths = self._widths[name]
            shares = table[first : first + len(widths)].repeat_interleave(widths, dim=0)  # [units, parents]
            total = tensor.clone()
            for k, difference in enumerate(self._differences):
                total += difference[name] * shares[:, k]
            merged[name] = total
        return merged

    def items(self, genome: Genome, split: Split) -> Items:
        """Scores a genome's model: 1 for each item of the split answered rightly, 0 for the others."""
        items = getattr(self.data, split)
        with torch.no_grad():
            return hits(mlp(self.merged(genome), items.pixels), items).numpy()

    def halves(self, hit: Items) -> tuple[float, float]:
        """Returns the accuracy on even and on odd digits of the search split: axes of an archive."""
        even = (self.data.search.labels % 2 == 0).numpy()
        return float(hit[even].mean()), float(hit[~even].mean())


def _widths(name: str, tensor: Tensor, grain: Grain) -> tuple[int, Tensor]:
    """Returns the first place that acts on a tensor, and how many of its columns each of them has."""
    layer, units = int(name.split(".")[0]), tensor.shape[-1]
    if grain == "model":
        return 0, torch.tensor([units])
    if grain == "layers":
        return layer, torch.tensor([units])
    return sum(BLOCKS[:layer]), torch.full((BLOCKS[layer],), units // BLOCKS[layer])


@cache
def _trained(seed: int, origin: Origin) -> tuple[Weights, tuple[Weights, Weights]]:
    data = deal_digits(seed).train
    starts = [new_mlp(seed), new_mlp(seed + 1000)]
    base = {name: torch.zeros_like(tensor) for name, tensor in starts[0].items()}
    if origin == "shared base":
        base = train(mlp, starts[0], data, steps=BASE_STEPS, rate=1e-3, seed=seed)
        starts = [base, base]
    one, other = (
        train(mlp, start, data.of(*classes), steps=STEPS, rate=1e-3, seed=seed + 1 + k)
        for k, (start, classes) in enumerate(zip(starts, HALVES, strict=True))
    )
    return base, (one, other)
