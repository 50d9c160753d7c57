"""Recipes over tiny parents, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search_spaces import Parent, Recipe, Slice, Source
from search_spaces.recipes.recipe import DType
from search_spaces.recipes.settings import Setting, constant


def parent_at(folder: Path) -> Parent:
    """Returns the parent in a folder."""
    return Parent(model=str(folder))


def linear_recipe(
    folders: Sequence[Path], weights: Sequence[float], *, out_dtype: DType | None = None
) -> Recipe:
    """Returns a weighted sum of whole models."""
    sources = tuple(
        Source(parent=parent_at(folder), parameters={"weight": constant(weight)})
        for folder, weight in zip(folders, weights, strict=True)
    )
    parameters = {"normalize": constant(0.0)}
    return Recipe(
        method="linear", slices=(Slice(sources=sources),), parameters=parameters, out_dtype=out_dtype
    )


def stacking_recipe(*layers: tuple[Path, int]) -> Recipe:
    """Returns a model made of these layers, one on the other."""
    slices = tuple(
        Slice(sources=(Source(parent=parent_at(folder), layers=(number, number + 1)),))
        for folder, number in layers
    )
    return Recipe(method="passthrough", slices=slices)


def exploding_recipe(folder: Path) -> Recipe:
    """Returns a recipe whose weights are finite and whose logits are not."""
    huge = (
        Setting(value=1e30, filter="lm_head"),
        Setting(value=1e30, filter="model.norm"),
        Setting(value=1.0),
    )
    source = Source(parent=parent_at(folder), parameters={"weight": huge})
    return Recipe(
        method="linear", slices=(Slice(sources=(source,)),), parameters={"normalize": constant(0.0)}
    )
