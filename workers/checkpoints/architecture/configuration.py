"""The config.json of a merged model: its owner's, with depth and number format corrected."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces import Parent, Recipe
from workers.checkpoints.architecture.layer_numbers import use_of_number
from workers.checkpoints.architecture.stacked_config import LANGUAGE_PARTS, stacked_config
from workers.checkpoints.layout import Layout
from workers.checkpoints.number_formats import TORCH_NAMES
from workers.errors import MismatchError

_DTYPE_KEYS = ("dtype", "torch_dtype")
_STAY = "keep all layers in their places, or use parents of another architecture"


def merged_config(owner: Layout, recipe: Recipe, layouts: Mapping[Parent, Layout]) -> dict[str, Any]:
    """Returns the configuration of the model that a recipe makes.

    Raises:
        MismatchError: The architecture ties what a layer does to its number and the recipe moves
            layers, or no configuration says what the stacked layers are.
        PreparationError: Layers are moved, and the installed transformers does not know the architecture.
    """
    _check_numbers(owner, recipe, layouts)
    origins = [(layouts[parent], layer) for parent, layer in layer_origins(recipe, layouts)]
    if _is_stack(owner, origins):
        config = stacked_config(owner, origins)
    else:
        config = copy.deepcopy(dict(owner.config))
    config.pop("_name_or_path", None)  # a path on the machine that made the parent
    for key in (None, *LANGUAGE_PARTS):
        part = config if key is None else config.get(key)
        if isinstance(part, dict):
            for name in _DTYPE_KEYS:
                if name in part:
                    part[name] = stored_dtype(owner, recipe)
    if not any(key in config for key in _DTYPE_KEYS):
        config["dtype"] = stored_dtype(owner, recipe)
    return config


def _is_stack(owner: Layout, origins: Sequence[tuple[Layout, int]]) -> bool:
    """Says whether layers are moved, left out, or come from several parents."""
    places = [layer for _, layer in origins]
    return places != list(range(owner.layers)) or len({id(layout) for layout, _ in origins}) > 1


def _check_numbers(owner: Layout, recipe: Recipe, layouts: Mapping[Parent, Layout]) -> None:
    use = use_of_number(owner.config, LANGUAGE_PARTS)
    if use is None:
        return
    at = 0
    for part in recipe.slices:
        ranges = [source.layers or (0, layouts[source.parent].layers) for source in part.sources]
        if any(start != at for start, _ in ranges):
            raise MismatchError(
                str(owner.parent), f"{use}, so that a layer elsewhere is another layer", _STAY
            )
        at += ranges[0][1] - ranges[0][0]


def layer_origins(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> tuple[tuple[Parent, int], ...]:
    """Returns, for each layer of the merged model, the parent it comes from first, and its number there."""
    origins: list[tuple[Parent, int]] = []
    for part in recipe.slices:
        source = part.sources[0]
        start, end = source.layers or (0, layouts[source.parent].layers)
        origins += ((source.parent, layer) for layer in range(start, end))
    return tuple(origins)


def stored_dtype(owner: Layout, recipe: Recipe) -> str:
    """Returns the number format of the merged weights: the recipe's, or the owner's own."""
    return recipe.out_dtype or recipe.dtype or own_dtype(owner)


def own_dtype(layout: Layout) -> str:
    """Returns the format that most of a checkpoint's bytes are in."""
    sizes: dict[str, int] = {}
    for entry in layout.tensors.values():
        if entry.dtype in TORCH_NAMES:
            sizes[entry.dtype] = sizes.get(entry.dtype, 0) + entry.bytes
    return TORCH_NAMES[max(sizes, key=lambda dtype: sizes[dtype])] if sizes else "float32"
