"""The config.json of a merged model: its owner's, with depth and number format corrected."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces import Parent, Recipe
from workers.inspection import DEPTH_KEYS
from workers.layout import Layout

TORCH_NAMES: Mapping[str, str] = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}
SAFETENSORS_NAMES: Mapping[str, str] = {name: short for short, name in TORCH_NAMES.items()}
_DTYPE_KEYS = ("dtype", "torch_dtype")


def merged_config(owner: Layout, recipe: Recipe, layouts: Mapping[Parent, Layout]) -> dict[str, Any]:
    """Returns the configuration of the model that a recipe makes."""
    config = copy.deepcopy(dict(owner.config))
    config.pop("_name_or_path", None)  # a path on the machine that made the parent
    origins = layer_origins(recipe, layouts)
    for part in (config, config.get("text_config")):
        if isinstance(part, dict):
            _set_depth(part, owner.layers, origins)
            for key in _DTYPE_KEYS:
                if key in part:
                    part[key] = stored_dtype(owner, recipe)
    if not any(key in config for key in _DTYPE_KEYS):
        config["dtype"] = stored_dtype(owner, recipe)
    return config


def layer_origins(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> tuple[int, ...]:
    """Returns, for each layer of the merged model, its number in the parent it comes from first."""
    origins: list[int] = []
    for part in recipe.slices:
        source = part.sources[0]
        start, end = source.layers or (0, layouts[source.parent].layers)
        origins += range(start, end)
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


def _set_depth(part: dict[str, Any], layers: int, origins: Sequence[int]) -> None:
    """Corrects the number of layers, and lists with one entry per layer (`layer_types`)."""
    for key in DEPTH_KEYS:
        if key in part:
            part[key] = len(origins)
    for key, value in part.items():
        if "layer" in key and isinstance(value, list) and len(value) == layers:
            part[key] = [value[origin] for origin in origins if origin < layers]
