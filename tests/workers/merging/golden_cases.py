"""Merges whose results are known: recipes and tensors that mergekit made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from search_spaces import Parent, Recipe
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from workers.checkpoints.inspection import inspect_checkpoint
from workers.checkpoints.layout import Layout
from workers.merging.methods import KERNELS
from workers.merging.plan import MergePlan, plan_merge
from workers.merging.stream import merged_tensors

OWN = Path(__file__).parent / "golden"
_METHODS = (*KERNELS, "slices")


@dataclass(frozen=True)
class GoldenCase:
    """A recipe, the folder that its parents' names start from, and what it gives."""

    root: Path
    folder: Path

    @property
    def name(self) -> str:
        return str(self.folder.relative_to(self.root))

    @property
    def recipe(self) -> Recipe:
        return read_recipe((self.folder / "recipe.yml").read_text())

    @property
    def expected(self) -> dict[str, Tensor]:
        # Version 0.1.5 accumulates in float32; where it differs from the older one, we follow it.
        newer = self.folder / "expected_015.safetensors"
        return load_file(newer if newer.exists() else self.folder / "expected.safetensors")

    def layouts(self) -> dict[Parent, Layout]:
        return {
            parent: inspect_checkpoint(parent, self.root / parent.model) for parent in self.recipe.all_parents
        }

    def plan(self) -> MergePlan:
        return plan_merge(self.recipe, self.layouts())

    def read(self, parent: Parent, tensor: str) -> Tensor:
        return load_file(self.root / parent.model / "model.safetensors")[tensor]

    def merged(self) -> dict[str, Tensor]:
        loaded = {p: load_file(self.root / p.model / "model.safetensors") for p in self.recipe.all_parents}
        return dict(merged_tensors(self.plan(), lambda parent, tensor: loaded[parent][tensor]))


def golden_cases(*, seeded: bool) -> list[GoldenCase]:
    """Returns the cases whose methods draw random numbers, or those of the others."""
    recipes = sorted(path for method in _METHODS for path in OWN.glob(f"{method}/*/recipe.yml"))
    return [GoldenCase(OWN, r.parent) for r in recipes if r.parent.name.startswith("seeded") == seeded]


def furthest(actual: Tensor, expected: Tensor) -> float:
    """Returns the largest difference, relative to values above 1 and absolute below."""
    difference = (actual.double() - expected.double()).abs()
    return float((difference / expected.double().abs().clamp(min=1.0)).max())


torch.set_num_threads(1)
