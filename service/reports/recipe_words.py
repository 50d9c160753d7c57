"""A recipe in a few words, as a row of a table tells it: the method, and how much it takes of each parent."""

from __future__ import annotations

from collections import Counter
from statistics import fmean

from search_spaces import Parent, Recipe
from search_spaces.catalogue.methods import MethodParameter
from search_spaces.spaces.coefficients import coefficient, with_layers_named
from service.experiment.spec import label_of
from service.reports.inside.recipe_parts import (
    depth_of,
    layer_filter_of,
    owners_of,
    parts_of,
    told_parameter,
)

LAYER_PREFIX = "model.layers."


def in_few_words(recipe: Recipe, layers: int) -> str:
    """Returns what is merged, and whose chat template and vision tower if not the tokenizer owner's.

    Args:
        recipe: Of the candidate.
        layers: How many layers a parent has.
    """
    told = _merged(recipe, layers)
    template = recipe.chat_template
    told += f", chat template of {label_of(template)}" if isinstance(template, Parent) else ""
    return told if recipe.vision is None else f"{told}, vision of {label_of(recipe.vision)}"


def _merged(recipe: Recipe, layers: int) -> str:
    """Returns method and mean coefficients: `ties: math 0.62 + code 0.38`; of a stack, whose layers it has.

    Args:
        recipe: Of the candidate.
        layers: How many layers a parent has.
    """
    recipe = with_layers_named(recipe, layers)
    if all(len(part.sources) == 1 for part in recipe.slices):
        return _stack(recipe, layers)
    parameter = told_parameter(recipe)
    if parameter is None:
        told = " + ".join(label_of(parent) for parent in recipe.merged_parents if parent != recipe.base)
    else:
        owners = owners_of(recipe, parameter)
        told = " + ".join(_share(recipe, parameter, owner, layers) for owner in owners)
    depth = depth_of(recipe, layers)
    return f"{recipe.method}: {told}" + (f", {depth} layers" if depth != layers else "")


def _share(recipe: Recipe, parameter: MethodParameter, owner: Parent | None, layers: int) -> str:
    """Returns a parent's name with the mean of its coefficient, over all layers and parts of them."""
    parts = parts_of(recipe, parameter.name)
    inner = parts[:-1] or parts  # the last stands for what no filter takes: norms and the like
    prefix = layer_filter_of(recipe, parameter.name) or LAYER_PREFIX
    found = [
        coefficient(recipe, parameter, owner, f"{prefix}{layer}.{part}", layer)
        for layer in range(depth_of(recipe, layers))
        for part in inner
    ]
    values = [value for value in found if value is not None]
    called = parameter.name if owner is None else label_of(owner)
    return f"{called} {fmean(values):.2f}" if values else called


def _stack(recipe: Recipe, layers: int) -> str:
    """Returns whose layers a model is stacked of, in order of appearance."""
    counts: Counter[str] = Counter()
    for part in recipe.slices:
        (source,) = part.sources
        start, end = source.layers or (0, layers)
        counts[label_of(source.parent)] += end - start
    if len(counts) == 1 and counts.total() == layers:
        return f"{next(iter(counts))} as it is" if recipe.method == "passthrough" else _of_one(recipe)
    return " + ".join(f"{count} layers of {name}" for name, count in counts.items() if count)


def _of_one(recipe: Recipe) -> str:
    return f"{recipe.method}: {label_of(recipe.slices[0].sources[0].parent)}"
