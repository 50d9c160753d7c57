"""Recipes as mergekit YAML, both ways.

What mergekit ignores in silence is told here: misspelt names are mistakes, names that mean nothing are
noticed, or mistakes too where no list is given for the notices.
mergekit has no place for a recipe's seed: it stands in a comment above the recipe.

mergekit can neither scale a slice's input nor copy a slice inside another method's merge.  It would
ignore the keys `input_scale` and `merge_method` of a slice and `vision` of a recipe, and make another
model.  So a recipe that has them is written as `merge_method: evomerge:NAME`, which mergekit refuses and
`read_recipe` reads.
"""

from __future__ import annotations

from typing import Any

import yaml

from search_spaces.catalogue.methods import Method, MethodParameter, method_named
from search_spaces.recipes.mergekit.problems import Notice
from search_spaces.recipes.mergekit.reader import OWN_METHODS, SEED_COMMENT, RecipeReader
from search_spaces.recipes.mergekit.tokenizer_writer import tokenizer_keys
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import Recipe, Slice, Source
from search_spaces.recipes.settings import Parameter, Parameters, Setting
from search_spaces.recipes.strict_yaml import Dumper

_FOR_EVOMERGE = (
    "# for `evomerge merge`, which folds input_scale into the weights; mergekit cannot make this model\n"
)


def read_recipe(text: str, notices: list[Notice] | None = None) -> Recipe:
    """Returns the recipe that a mergekit YAML text describes.

    Args:
        text: One document; `search_spaces.recipes.mergekit.recipe_file` reads several.
        notices: Gets what is not read, and ignored; without it that is a mistake.

    Raises:
        RecipeFileError: The text describes none; holds one problem per mistake.
    """
    return RecipeReader(text, notices).read()


def write_recipe(recipe: Recipe) -> str:
    """Returns a text that mergekit reads, and from which `read_recipe` makes an equal recipe.

    Raises:
        RecipeError: A parent's name means something else in mergekit.
    """
    method = method_named(recipe.method)
    own = not is_mergekits(recipe)
    content: dict[str, Any] = {"merge_method": f"{OWN_METHODS if own else ''}{recipe.method}"}
    base = recipe.base or (None if method.takes_base else _listed_owner(recipe))
    if base is not None:
        content["base_model"] = str(base)
    if _covers_all_layers(recipe):
        content["models"] = [_source(source, method, "model") for source in recipe.slices[0].sources]
    else:
        content["slices"] = [_slice(part, method, part.base or recipe.base) for part in recipe.slices]
    if recipe.parameters:
        content["parameters"] = _parameters(recipe.parameters, method)
    content |= {key: value for key in ("dtype", "out_dtype") if (value := getattr(recipe, key)) is not None}
    content |= tokenizer_keys(recipe, owner_is_base=recipe.base is None and base is not None)
    content |= {} if recipe.vision is None else {"vision": str(recipe.vision)}
    comment = f"{SEED_COMMENT} {recipe.seed}\n" if recipe.seed else ""
    comment += _FOR_EVOMERGE if own else ""
    return comment + yaml.dump(content, Dumper=Dumper, sort_keys=False, default_flow_style=None, width=100)


def is_mergekits(recipe: Recipe) -> bool:
    """Says whether mergekit makes the same model of the recipe's text."""
    plain = not recipe.has_scales and all(part.method is None for part in recipe.slices)
    return plain and recipe.vision is None


def _listed_owner(recipe: Recipe) -> Parent | None:
    """Returns the tokenizer's owner where mergekit can be told it as the base of a method without one.

    mergekit then leaves the embeddings as they are; it mixes in the base, so that must be listed.
    """
    everywhere = all(recipe.tokenizer in [s.parent for s in part.sources] for part in recipe.slices)
    return recipe.tokenizer if everywhere and recipe.base is None else None


def _covers_all_layers(recipe: Recipe) -> bool:
    """Says whether the recipe fits mergekit's short form, `models:`."""
    first = recipe.slices[0]
    whole = all(source.layers is None for source in first.sources)
    plain = first.base is None and not first.parameters and first.method is None
    return len(recipe.slices) == 1 and whole and plain


def _slice(part: Slice, method: Method, base: Parent | None) -> dict[str, Any]:
    content: dict[str, Any] = {"sources": [_source(source, method, "model") for source in part.sources]}
    if part.method is not None:
        content["merge_method"] = part.method
    if part.input_scale != 1.0:
        content["input_scale"] = part.input_scale
    copied = part.method is not None
    if base is not None and not copied and all(source.parent != base for source in part.sources):
        # mergekit 0.1.5 wants to see the base in every slice; a recipe does not.
        listed = Source(parent=base, layers=part.sources[0].layers)
        content["sources"].append(_source(listed, method, "model"))
    if part.base is not None:
        content["base_model"] = str(part.base)
    if part.parameters:
        content["parameters"] = _parameters(part.parameters, method)
    return content


def _source(source: Source, method: Method, key: str) -> dict[str, Any]:
    content: dict[str, Any] = {key: str(source.parent)}
    if source.layers is not None:
        content["layer_range"] = list(source.layers)
    if source.parameters:
        content["parameters"] = _parameters(source.parameters, method)
    return content


def _parameters(parameters: Parameters, method: Method) -> dict[str, Any]:
    return {name: _settings(parameter, method.parameter(name)) for name, parameter in parameters.items()}


def _settings(parameter: Parameter, declared: MethodParameter) -> Any:  # noqa: ANN401 - a number, a list or mappings
    if len(parameter) == 1 and parameter[0].filter is None:
        return _value(parameter[0], declared)
    return [
        ({} if setting.filter is None else {"filter": setting.filter}) | {"value": _value(setting, declared)}
        for setting in parameter
    ]


def _value(setting: Setting, declared: MethodParameter) -> Any:  # noqa: ANN401 - a number, a word, or a list
    if isinstance(setting.value, tuple):
        return [_written(value, declared) for value in setting.value]
    return _written(setting.value, declared)


def _written(value: float, declared: MethodParameter) -> float | bool | str:
    if declared.kind == "choice":
        return declared.choices[int(value)]
    return bool(value) if declared.kind == "switch" else value
