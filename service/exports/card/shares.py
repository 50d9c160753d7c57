"""Shares: how much of a merged model comes from each parent, on average over its layers.  Pure."""

from __future__ import annotations

from search_spaces import Parent, Recipe
from search_spaces.catalogue.methods import MethodParameter, method_named
from search_spaces.spaces.coefficients import coefficient

_PARTS = ("self_attn.q_proj.weight", "mlp.up_proj.weight")  # whose filters recipes tell apart


def mean_shares(recipe: Recipe, layers: int, layer_prefix: str) -> dict[str, float]:
    """Returns the mean weight of every parent, by its reference; empty where the method has no weights.

    Args:
        recipe: Of the merged model.
        layers: How many a parent has.
        layer_prefix: Of its layers' tensors, such as `model.layers.`.
    """
    if recipe.method == "passthrough":
        return _shares_of_layers(recipe, layers)
    declared = {parameter.name: parameter for parameter in method_named(recipe.method).parameters}
    weight, position = declared.get("weight"), declared.get("t")
    named = _with_layers(recipe, layers)
    places = [(f"{layer_prefix}{layer}.{part}", layer) for layer in range(_depth(named)) for part in _PARTS]

    def mean(parameter: MethodParameter, owner: Parent | None) -> float:
        values = [coefficient(named, parameter, owner, tensor, layer) or 0.0 for tensor, layer in places]
        return sum(values) / len(values)

    if weight is not None and weight.scope == "parent":
        mixed = (source.parent for part in recipe.slices for source in part.parents(part.base or recipe.base))
        return {str(owner): mean(weight, owner) for owner in dict.fromkeys(mixed)}
    if position is not None and position.scope == "shared" and len(recipe.merged_parents) == 2:
        first, second = _both(recipe)
        share = mean(position, None)
        return {str(first): 1.0 - share, str(second): share}
    return {}


def _with_layers(recipe: Recipe, layers: int) -> Recipe:
    """Returns the recipe with `all layers` written as numbers, which depths are measured by."""
    slices = []
    for part in recipe.slices:
        sources = tuple(s.model_copy(update={"layers": s.layers or (0, layers)}) for s in part.sources)
        slices.append(part.model_copy(update={"sources": sources}))
    return recipe.model_copy(update={"slices": tuple(slices)})


def _both(recipe: Recipe) -> tuple[Parent, Parent]:
    """Returns where t = 0 and t = 1 lie: the base, or the first parent, and the other one."""
    parents = [source.parent for source in recipe.slices[0].sources]
    first = recipe.base or parents[0]
    second = next((parent for parent in recipe.merged_parents if parent != first), first)
    return first, second


def _depth(recipe: Recipe) -> int:
    return sum(end - start for part in recipe.slices for start, end in [part.sources[0].layers or (0, 0)])


def _shares_of_layers(recipe: Recipe, layers: int) -> dict[str, float]:
    taken: dict[str, int] = {}
    for part in recipe.slices:
        source = part.sources[0]
        start, end = source.layers or (0, layers)
        taken[str(source.parent)] = taken.get(str(source.parent), 0) + end - start
    total = sum(taken.values())
    return {name: count / total for name, count in taken.items()} if total else {}
