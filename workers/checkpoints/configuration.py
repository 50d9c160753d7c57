"""The config.json of a merged model: its owner's, with depth and number format corrected."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces import Parent, Recipe
from workers.checkpoints.inspection import DEPTH_KEYS
from workers.checkpoints.layout import Layout
from workers.checkpoints.number_formats import TORCH_NAMES
from workers.errors import MismatchError

_DTYPE_KEYS = ("dtype", "torch_dtype")


def merged_config(owner: Layout, recipe: Recipe, layouts: Mapping[Parent, Layout]) -> dict[str, Any]:
    """Returns the configuration of the model that a recipe makes.

    Raises:
        MismatchError: The architecture ties what a layer does to its number, and the recipe moves layers.
    """
    config = copy.deepcopy(dict(owner.config))
    config.pop("_name_or_path", None)  # a path on the machine that made the parent
    origins = layer_origins(recipe, layouts)
    for key in (None, "text_config"):
        part = config if key is None else config.get(key)
        if isinstance(part, dict):
            _set_depth(part, key, owner, [(layouts[parent], layer) for parent, layer in origins])
            for name in _DTYPE_KEYS:
                if name in part:
                    part[name] = stored_dtype(owner, recipe)
    if not any(key in config for key in _DTYPE_KEYS):
        config["dtype"] = stored_dtype(owner, recipe)
    return config


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


def _set_depth(
    part: dict[str, Any], key: str | None, owner: Layout, origins: Sequence[tuple[Layout, int]]
) -> None:
    """Corrects the number of layers, and lists with one entry per layer (`layer_types`)."""
    moved = [layer for _, layer in origins] != list(range(owner.layers))
    if moved and part.get("scale_attn_by_inverse_layer_idx"):
        raise MismatchError(
            str(owner.parent),
            "scales its attention by the layer's number, so that a layer elsewhere is another layer",
            "keep all layers in their places, or use parents without scale_attn_by_inverse_layer_idx",
        )
    own = _per_layer(part, owner.layers, derive=moved)
    theirs = {
        layout.parent: _per_layer(_part(layout, key), layout.layers, derive=moved) for layout, _ in origins
    }
    for name in DEPTH_KEYS:
        if name in part:
            part[name] = len(origins)
    for name, values in own.items():
        lists = {parent: found.get(name, values) for parent, found in theirs.items()}
        part[name] = [
            lists[layout.parent][layer] for layout, layer in origins if layer < len(lists[layout.parent])
        ]


def _part(layout: Layout, key: str | None) -> Mapping[str, Any]:
    part = layout.config if key is None else layout.config.get(key)
    return part if isinstance(part, Mapping) else {}


def _per_layer(part: Mapping[str, Any], layers: int, *, derive: bool) -> dict[str, list[Any]]:
    """Returns the lists of a configuration that have one entry per layer.

    Args:
        part: The configuration, or the part of it that describes the language model.
        layers: How many layers it describes.
        derive: Adds the kinds of attention that older configurations leave to the layer's number.
    """
    found = {k: v for k, v in part.items() if "layer" in k and isinstance(v, list) and len(v) == layers}
    if derive and "layer_types" not in found and "model_type" in part:
        from transformers import AutoConfig  # slow to import, and most merges need it not

        known = {k: v for k, v in part.items() if k not in ("model_type", *_DTYPE_KEYS)}
        kinds = getattr(AutoConfig.for_model(part["model_type"], **known), "layer_types", None)
        if kinds is not None and len(kinds) == layers and len(set(kinds)) > 1:
            found["layer_types"] = list(kinds)
    return found
