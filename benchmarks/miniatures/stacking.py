"""Two specialists of six residual blocks: the miniature of layer stacking (2403.13187, section 3.2)."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from benchmarks.miniatures.combining import average
from benchmarks.miniatures.digits import deal_digits
from benchmarks.miniatures.networks import BLOCKS, Hop, Weights, along_path, hits, new_stack, stack, train
from benchmarks.miniatures.problem import Items, Split
from benchmarks.miniatures.specialists import HALVES
from search_spaces.genome import Axis, Genome, Real
from search_spaces.recipes.parent import Parent
from search_spaces.spaces.space import Infeasible, ParentPool
from search_spaces.spaces.stacking.layer_path import stacking_path
from search_spaces.spaces.stacking.layer_stacking import LayerStackingOptions, LayerStackingSpace

BASE_STEPS, STEPS = 40, 200
A, B = Parent(model="a"), Parent(model="b")


class LayerAverages:
    """Parameter space: a coefficient per parent and block, the outer matrices with the nearest block."""

    parents = 2

    def __init__(self, seed: int) -> None:
        self.data = deal_digits(seed)
        self.base, self.specialists = trained_stacks(seed)
        self.variables = tuple(
            Real(f"{'AB'[k]}, block {block}", 0.0, 1.5, 0.5, Axis("weight", k, block))
            for block in range(BLOCKS)
            for k in range(2)
        )

    def baselines(self) -> list[Genome]:
        """Returns the genomes of both specialists and of their average."""
        return [(1 - r, r) * BLOCKS for r in (0.0, 1.0, 0.5)]

    def merged(self, genome: Genome) -> Weights:
        """Returns the weights that a genome stands for: task arithmetic, block by block."""
        table = np.asarray(genome, dtype=np.float64).reshape(BLOCKS, 2)
        merged = {}
        for name, tensor in self.base.items():
            block = {"in": 0, "out": BLOCKS - 1}.get(name) if "." not in name else int(name.split(".")[0])
            merged[name] = tensor + sum(
                float(table[block, k]) * (one[name] - tensor) for k, one in enumerate(self.specialists)
            )
        return merged

    def items(self, genome: Genome, split: Split) -> Items:
        """Scores a genome's model item by item."""
        items = getattr(self.data, split)
        with torch.no_grad():
            return hits(stack(self.merged(genome), items.pixels), items).numpy()


class Stacking:
    """Data flow space, by the product's own layer-stacking space: which block comes next, how scaled.

    The first and last matrix are those of the first model, and so are the first and last block.

    Args:
        seed: Of the data and of the specialists.
        first: The model that the search begins at; the first specialist where None, or what a search in
            parameter space found (the published hybrid).
        scales: Whether each block's input has a scale of its own.
    """

    parents = 2

    def __init__(self, seed: int, *, scales: bool, first: Weights | None = None) -> None:
        self.data = deal_digits(seed)
        one, other = trained_stacks(seed)[1]
        self._models = {A: first or one, B: other}
        pool = ParentPool(parents=(A, B), base=None, layers=BLOCKS)
        options = LayerStackingOptions(repeats=2, scales=scales, scale_bounds=(0.4, 2.5), max_layers=24)
        self._space = LayerStackingSpace(options, pool)
        self.variables = self._space.variables

    def baselines(self) -> list[Genome]:
        """Returns the genome of the first model as it is."""
        return [tuple(variable.initial for variable in self.variables)]

    def items(self, genome: Genome, split: Split) -> Items:
        """Scores a genome's stack item by item; a genome that is no stack answers nothing rightly."""
        items = getattr(self.data, split)
        recipe = self._space.decode(genome)
        if isinstance(recipe, Infeasible):
            return np.zeros(len(items))
        path: list[Hop] = [
            (self._models[step.parents[0]], step.layer, step.scale) for step in stacking_path(recipe, BLOCKS)
        ]
        return self.along(path, split)

    def along(self, path: list[Hop], split: Split) -> Items:
        """Scores any path of blocks item by item."""
        items = getattr(self.data, split)
        with torch.no_grad():
            return hits(along_path(self._models[A], path, items.pixels), items).numpy()

    def naive(self, split: Split) -> Items:
        """Scores the stack of all blocks of the first model and then all of the second."""
        return self.along([(self._models[p], i, 1.0) for p in (A, B) for i in range(BLOCKS)], split)

    def average(self, split: Split) -> Items:
        """Scores the plain average of both models."""
        items, merged = getattr(self.data, split), average(list(self._models.values()))
        with torch.no_grad():
            return hits(stack(merged, items.pixels), items).numpy()


@cache
def trained_stacks(seed: int) -> tuple[Weights, tuple[Weights, Weights]]:
    """Returns the base and its two specialists."""
    data = deal_digits(seed).train
    base = train(stack, new_stack(seed), data, steps=BASE_STEPS, rate=2e-3, seed=seed)
    one, other = (
        train(stack, base, data.of(*classes), steps=STEPS, rate=1e-3, seed=seed + 1 + k)
        for k, classes in enumerate(HALVES)
    )
    return base, (one, other)
