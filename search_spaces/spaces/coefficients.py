"""Reads coefficients out of recipes: what a parent contributes to a layer, whatever the recipe's form."""

from __future__ import annotations

from search_spaces.catalogue.methods import MethodParameter, method_named
from search_spaces.errors import NotInSpaceError
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import Recipe, Slice
from search_spaces.spaces.space import ParentPool


def coefficient(
    recipe: Recipe, parameter: MethodParameter, owner: Parent | None, tensor: str, layer: float | None
) -> float | None:
    """Returns a parameter's value for one tensor of one layer (None: outside the layers), None if unsaid."""
    part, depth = _slice_at(recipe, layer)
    if part is None:
        return None
    if part.method is not None:  # a copy: all of its one source, nothing of the others
        taken = {part.sources[0].parent: 1.0}
        return None if owner is None or parameter.name != "weight" else taken.get(owner, 0.0)
    if owner is None:
        return recipe.shared_value(parameter.name, part, tensor, depth)
    source = next((source for source in part.sources if source.parent == owner), None)
    return None if source is None else recipe.parent_value(parameter.name, part, source, tensor, depth)


def with_layers_named(recipe: Recipe, layers: int) -> Recipe:
    """Returns the recipe with `all layers` of its parents as numbers, by which depths are measured by."""
    parts = []
    for part in recipe.slices:
        sources = tuple(
            s if s.layers is not None else s.model_copy(update={"layers": (0, layers)}) for s in part.sources
        )
        parts.append(part.model_copy(update={"sources": sources}))
    return recipe.model_copy(update={"slices": tuple(parts)})


def _slice_at(recipe: Recipe, layer: float | None) -> tuple[Slice | None, float]:
    """The slice that a layer of the merged model lies in, and how deep inside it.

    Slices must name their layers: see `with_layers_named`.
    """
    first = recipe.slices[0]
    if layer is None:
        return first, 0.0
    begin = 0
    for part in recipe.slices:
        span = part.sources[0].layers
        if span is None:
            return part, 0.0
        length = span[1] - span[0]
        if layer < begin + length:
            return part, (layer - begin) / (length - 1) if length > 1 else 1.0
        begin += length
    return None, 0.0


def same_coefficients(recipe: Recipe, other: Recipe, pool: ParentPool) -> bool:
    """Says whether two recipes give every parent the same coefficients in every tensor."""
    method = method_named(other.method)
    places: list[tuple[int | None, str]] = [(None, "")]
    kinds = {s.filter or "" for part in (*recipe.slices, *other.slices) for src in part.sources
             for parameter in src.parameters.values() for s in parameter}  # fmt: skip
    places += [
        (i, f"{pool.layer_prefix}{i}.{kind}") for i in range(pool.layers) for kind in sorted(kinds | {""})
    ]
    for layer, tensor in places:
        for parameter in method.parameters:
            for owner in pool.parents if parameter.scope == "parent" else (None,):
                mine = coefficient(recipe, parameter, owner, tensor, layer)
                theirs = coefficient(other, parameter, owner, tensor, layer)
                if (mine is None) != (theirs is None) or abs((mine or 0.0) - (theirs or 0.0)) > 1e-6:
                    return False
    return True


def plain_weights(recipe: Recipe, pool: ParentPool) -> dict[Parent, float]:
    """Returns the weights of a recipe that is one parent, or a constant weighted average of some.

    Raises:
        NotInSpaceError: The recipe is neither.
    """
    problem = NotInSpaceError(
        "recipe", f"a {recipe.method} recipe varies or is no average", "use its own space"
    )
    if len(recipe.slices) != 1 or recipe.method not in ("linear", "passthrough"):
        raise problem
    sources = recipe.slices[0].sources
    if any(source.layers not in (None, (0, pool.layers)) for source in sources):
        raise problem
    if recipe.method == "passthrough":
        if sources[0].parameters or recipe.parameters or recipe.slices[0].parameters:
            raise problem
        weights = {sources[0].parent: 1.0}
    else:
        weights = {}
        for source in sources:
            parameter = source.parameters.get("weight", ())
            if len(parameter) != 1 or not isinstance(parameter[0].value, float) or parameter[0].filter:
                raise problem
            weights[source.parent] = parameter[0].value
        total = sum(weights.values())
        normalize = recipe.shared_value("normalize", recipe.slices[0], "", 0.0)
        if normalize:
            weights = {parent: weight / total for parent, weight in weights.items()} if total else {}
        elif abs(total - 1.0) > 1e-9:
            raise problem  # without normalisation the base's share is not 1 - sum
    if not set(weights) <= {*pool.parents, pool.base}:
        raise problem
    return weights
