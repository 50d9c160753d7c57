"""What each layer of a network consists of: its modules, their tensors' shapes and their settings.

Two layers with equal descriptions and equal weights compute the same, unless they use their number.
Found on the meta device, from configurations alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from workers.errors import MismatchError

Setting = tuple[str, str]
"""A module's name inside the layer, and its attribute's."""

_PLAIN = (int, float, str, bool, type(None), torch.dtype)
_ABSENT = "absent"
_NUMBERS = ("layer_idx", "layer_id", "layer_index", "layer_number", "block_idx")


@dataclass(frozen=True, slots=True)
class LayerModules:
    """What one layer consists of.

    Attributes:
        kinds: Module name -> class.
        shapes: Tensor name -> shape.
        settings: Every plain attribute of the modules.
    """

    kinds: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    settings: Mapping[Setting, Any]


@dataclass(frozen=True, slots=True)
class NetworkLayers:
    """The layers of a network.

    Attributes:
        layers: In order.
        common: The settings that all of them share: they belong to the network, not to a layer.
        numbers: The settings that hold the layer's number.
        tied: A tensor that several layers share, if there is one.
        beside: Another list of as many modules beside the layers: they are parts of layers only.
    """

    layers: tuple[LayerModules, ...]
    common: frozenset[Setting]
    numbers: frozenset[Setting]
    tied: str | None = None
    beside: str | None = None


def layers_of(model: Any, prefix: str, count: int) -> NetworkLayers:  # noqa: ANN401 - transformers
    """Returns what the layers of a network consist of.

    Args:
        model: A transformers model; the meta device will do.
        prefix: What precedes a layer's number in the checkpoint's tensor names (`model.layers.`).
        count: How many layers there are.

    Raises:
        MismatchError: The network has another number of layers there, or none.
    """
    name, container = _container(model, prefix, count)
    found = [_described(module) for module in container]
    names = {setting for layer in found for setting in layer.settings}
    first = found[0].settings
    common = {s for s in names if all(layer.settings.get(s, _ABSENT) == first.get(s) for layer in found)}
    numbers = frozenset(filter(_Numbering(found), names))
    beside = _beside(model, name, count)
    return NetworkLayers(tuple(found), frozenset(common), numbers, _tied(container), beside)


def difference(
    made: NetworkLayers, at: int, origin: NetworkLayers, layer: int, owner: NetworkLayers
) -> str | None:
    """Returns in what a layer of a network differs from the layer that is put there; None if in nothing.

    What all layers share in a parent, and in the owner whose configuration the network has, is no matter
    of the layer's place, and is left out.
    """
    here, there = made.layers[at], origin.layers[layer]
    return _first_difference("tensor", here.shapes, there.shapes) or (
        _first_difference("module", here.kinds, there.kinds)
        or _setting_that_differs(made, at, origin, layer, owner)
    )


def _first_difference(what: str, here: Mapping[str, Any], there: Mapping[str, Any]) -> str | None:
    for name in sorted(here.keys() | there.keys()):
        if name not in here:
            return f"{what} {name!r} would have no place"
        if name not in there:
            return f"{what} {name!r} would be missing"
        if here[name] != there[name]:
            return f"{what} {name!r} would be {here[name]}, and is {there[name]}"
    return None


def _setting_that_differs(
    made: NetworkLayers, at: int, origin: NetworkLayers, layer: int, owner: NetworkLayers
) -> str | None:
    here, there = made.layers[at].settings, origin.layers[layer].settings
    for setting in sorted(here.keys() | there.keys()):
        mine, theirs = (side.get(setting, _ABSENT) for side in (here, there))
        shared = setting in owner.common and setting in origin.common
        owners = shared and owner.layers[0].settings.get(setting, _ABSENT) == mine
        numbers = setting in made.numbers and setting in origin.numbers
        entries = _entry(mine, at, len(made.layers)), _entry(theirs, layer, len(origin.layers))
        if mine != theirs and entries[0] != entries[1] and not owners and not numbers:
            return f"setting {'.'.join(filter(None, setting))} would be {mine}, and is {theirs}"
    return None


def _entry(value: Any, layer: int, layers: int) -> Any:  # noqa: ANN401 - a setting
    """Returns a layer's own part of a setting that all layers hold whole."""
    return value[layer] if isinstance(value, list | tuple) and len(value) == layers else value


def _tied(container: Sequence[nn.Module]) -> str | None:
    """Returns the name of a tensor that lies in several layers."""
    seen: dict[int, int] = {}
    for number, layer in enumerate(container):
        for name, parameter in layer.named_parameters():
            if seen.setdefault(id(parameter), number) != number:
                return name
    return None


def _described(layer: nn.Module) -> LayerModules:
    kinds, settings = {}, {}
    for name, module in layer.named_modules():
        kinds[name] = type(module).__qualname__
        for attribute, value in vars(module).items():
            if not attribute.startswith("_") and attribute != "training" and _is_plain(value):
                settings[name, attribute] = value
    tensors = (*layer.named_parameters(), *layer.named_buffers())
    return LayerModules(kinds, {name: tuple(tensor.shape) for name, tensor in tensors}, settings)


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(entry) for entry in value)
    return isinstance(value, _PLAIN)


@dataclass(frozen=True, slots=True)
class _Numbering:
    """Says whether a setting is the layer's number wherever it is found, or a cache's number."""

    layers: Sequence[LayerModules]

    def __call__(self, setting: Setting) -> bool:
        found = [(n, s.settings[setting]) for n, s in enumerate(self.layers) if setting in s.settings]
        if any(isinstance(value, bool) or not isinstance(value, int) for _, value in found):
            return False
        if setting[1] in _NUMBERS:  # several caches a layer: 0, 2, 4 ... or 1, 3, 5 ...
            return any(all(value == a * n + b for n, value in found) for a in (1, 2) for b in (0, 1))
        return len(found) > 1 and all(value == n for n, value in found)


def _container(model: Any, prefix: str, count: int) -> tuple[str, Sequence[nn.Module]]:  # noqa: ANN401
    """Returns the list of layers, and its name in the network."""
    base = f"{model.base_model_prefix}."
    lists = _lists(model, count)
    wanted = prefix.rstrip(".")
    for name in (wanted, base + wanted, wanted.removeprefix(base)):
        if name in lists:
            return name, list(lists[name])
    # Checkpoints may have older names; the last word is the same.
    last = wanted.rsplit(".", 1)[-1]
    alike = [name for name in lists if name.rsplit(".", 1)[-1] == last and not _is_other(name)]
    if len(alike) != 1:
        raise MismatchError(
            wanted,
            f"{type(model).__name__} has no {count} layers there, but {sorted(lists) or 'none anywhere'}",
            "keep all layers in their places",
        )
    return alike[0], list(lists[alike[0]])


def _beside(model: Any, name: str, count: int) -> str | None:  # noqa: ANN401
    """Returns the name of another list of as many modules with weights in the same module."""
    around = name.rpartition(".")[0]
    for other, modules in _lists(model, count).items():
        if other != name and other.rpartition(".")[0] == around and any(True for _ in modules.parameters()):
            return other
    return None


def _lists(model: Any, count: int) -> dict[str, nn.ModuleList]:  # noqa: ANN401
    return {n: m for n, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m) == count}


def _is_other(name: str) -> bool:
    return any(word in name for word in ("vision", "visual", "image", "audio", "speech"))
