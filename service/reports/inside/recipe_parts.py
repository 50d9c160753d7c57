"""What a recipe is made of: its parents, the parts of layers that it tells apart, its depth."""

from __future__ import annotations

from search_spaces import Parent, Recipe
from search_spaces.catalogue.methods import MethodParameter, method_named


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
    filters = _filters(recipe, name)
    inner = (f for f in filters if f != "*" and "layers." not in f and "embed" not in f and f != "lm_head")
    return (*inner, "")


def layer_filter_of(recipe: Recipe, name: str) -> str | None:
    """Returns the filter that tells layers from the rest (`model.layers.`); None without one."""
    return next((f for f in _filters(recipe, name) if f.endswith("layers.")), None)


def _filters(recipe: Recipe, name: str) -> list[str]:
    levels = [recipe.parameters]
    for part in recipe.slices:
        levels += [part.parameters, *(source.parameters for source in part.sources)]
    return sorted({s.filter for level in levels for s in level.get(name, ()) if s.filter})


def depth_of(recipe: Recipe, layers: int) -> int:
    """Returns how many layers the merged model has."""
    spans = [part.sources[0].layers for part in recipe.slices]
    return sum(layers if span is None else span[1] - span[0] for span in spans)
