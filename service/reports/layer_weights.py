"""A look inside a recipe: how much every parent contributes to every layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from search_spaces import Parent, Recipe
from search_spaces.catalogue.methods import MethodParameter, method_named
from search_spaces.spaces.coefficients import coefficient, with_layers_named
from service.experiment.spec import label_of


@dataclass(frozen=True, slots=True)
class Column:
    """A parent and a part of the layer (`mlp`; empty: all of it), whose coefficients stand below."""

    parent: str
    part: str


@dataclass(frozen=True, slots=True)
class Row:
    """One layer, or a run of layers with equal coefficients; None where a parent is not used."""

    layers: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """The table of one parameter: layers down, parents across."""

    parameter: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def layer_weights(recipe: Recipe, layers: int, *, layer_prefix: str = "model.layers.") -> LayerWeights | None:
    """Returns what the recipe takes from each parent per layer, None where its method has no such number."""
    parameter = told_parameter(recipe)
    if parameter is None:
        return None
    recipe = with_layers_named(recipe, layers)
    owners = owners_of(recipe, parameter)
    parts = parts_of(recipe, parameter.name)
    depth = depth_of(recipe, layers)
    cells = [
        tuple(
            coefficient(recipe, parameter, owner, f"{layer_prefix}{layer}.{part}", layer)
            for owner in owners
            for part in parts
        )
        for layer in range(depth)
    ]
    rest = "other tensors" if len(parts) > 1 else ""
    columns = tuple(
        Column("all parents" if owner is None else label_of(owner), part or rest)
        for owner in owners
        for part in parts
    )
    return LayerWeights(parameter.name, columns, tuple(_runs(cells)))


def told_parameter(recipe: Recipe) -> MethodParameter | None:
    """Returns the parameter that says how much is taken of each parent; None where the method has none."""
    declared = {parameter.name: parameter for parameter in method_named(recipe.method).parameters}
    return declared.get("weight") or declared.get("t")


def owners_of(recipe: Recipe, parameter: MethodParameter) -> tuple[Parent | None, ...]:
    """Returns whose the parameter is: each parent's, or None for all together."""
    if parameter.scope == "shared":
        return (None,)
    parents = (source.parent for part in recipe.slices for source in part.parents(part.base or recipe.base))
    return tuple(dict.fromkeys(parents))


def parts_of(recipe: Recipe, name: str) -> tuple[str, ...]:
    """Returns the tensor filters inside layers; the empty one stands for everything else, and comes last."""
    levels = [recipe.parameters]
    for part in recipe.slices:
        levels += [part.parameters, *(source.parameters for source in part.sources)]
    filters = {setting.filter for level in levels for setting in level.get(name, ()) if setting.filter}
    inner = sorted(
        f for f in filters if f != "*" and "layers." not in f and "embed" not in f and f != "lm_head"
    )
    return (*inner, "")


def depth_of(recipe: Recipe, layers: int) -> int:
    """Returns how many layers the merged model has."""
    spans = [part.sources[0].layers for part in recipe.slices]
    return sum(layers if span is None else span[1] - span[0] for span in spans)


def _runs(cells: list[tuple[float | None, ...]]) -> Iterator[Row]:
    start = 0
    for layer in range(1, len(cells) + 1):
        if layer == len(cells) or cells[layer] != cells[start]:
            yield Row(str(start) if layer - start == 1 else f"{start}–{layer - 1}", cells[start])
            start = layer
