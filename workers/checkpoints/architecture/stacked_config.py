"""The config.json of a stack: what it says of each layer comes from where the layer comes from.

What was written is then held against the networks that transformers builds from it and from the
parents' configurations: each layer must be the one that was put there, or the stack is refused.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from workers.checkpoints.architecture.layer_facts import Fact, facts_of, is_ruled
from workers.checkpoints.inspection import DEPTH_KEYS
from workers.checkpoints.layout import Layout
from workers.errors import MismatchError, PreparationError

Origin = tuple[Layout, int]
"""A parent, and the number of one of its layers."""

LANGUAGE_PARTS = ("text_config", "language_config", "llm_config")
_DECODER_DEPTHS = ("decoder_layers", "num_decoder_layers")
_ENCODER_DEPTHS = ("encoder_layers", "num_encoder_layers", "num_layers")
_TAKEN_OVER = ("shared", "reuse")
_KEPT = 256  # configurations and networks that are remembered
_REMEDY = "take other layers, or leave these in their places"


@dataclass(frozen=True, slots=True)
class _Part:
    """The part of a configuration that describes the language model.

    Attributes:
        meant: What transformers makes of it.
        fields: What it may say.
        facts: What it says of its layers; lists in the checkpoint's own spelling.
        read: The same, as transformers spells it.
    """

    meant: Mapping[str, Any]
    fields: frozenset[str]
    facts: Mapping[str, Fact]
    read: Mapping[str, Fact]


class _Stack:
    """A model's layers, and what the configurations that they come from say of them."""

    def __init__(self, owner: Layout, origins: Sequence[Origin]) -> None:
        self.owner, self.origins = owner, origins
        parents = {id(layout): layout for layout in (owner, *(layout for layout, _ in origins))}
        self._texts = {number: _text(layout.config) for number, layout in parents.items()}

    def part(self, layout: Layout, key: str | None) -> _Part:
        """Returns what a parent says of its language model, flat where the owner is nested."""
        nested = key if isinstance(layout.config.get(key or ""), Mapping) else None
        return _read(self._texts[id(layout)], nested, layout.layers)

    def values(self, name: str, key: str | None, *, spelled: bool) -> list[Any] | None:
        """Returns a fact's value for each layer of the stack; None where a parent does not tell it."""
        found = {}
        for layout, _ in self.origins:
            if id(layout) not in found:
                part = self.part(layout, key)
                found[id(layout)] = (part.facts if spelled else part.read).get(name)
        chosen = [(found[id(layout)], layer) for layout, layer in self.origins]
        return None if None in found.values() else [fact.values[layer] for fact, layer in chosen if fact]

    def network(self, layout: Layout) -> Any:  # noqa: ANN401 - NetworkLayers, which is slow to import
        """Returns the layers of a parent's network."""
        return _network(self._texts[id(layout)], layout.layer_prefix, layout.layers)


def stacked_config(owner: Layout, origins: Sequence[Origin]) -> dict[str, Any]:
    """Returns the owner's configuration for a model with these layers.

    Raises:
        MismatchError: No configuration of this architecture says what these layers are.
        PreparationError: The installed transformers does not know the architecture.
    """
    stack = _Stack(owner, origins)
    written: set[str] = set()
    for _ in range(2):  # once more, where the architecture derives something that only then shows
        config, unsaid = _written(stack, written)
        wrong = _misread(config, stack)
        if wrong <= written:
            break
        written |= wrong
    _check_layers(config, stack, [*unsaid, *sorted(wrong)])
    if wrong:
        detail = (
            f"a {owner.architecture} works {min(wrong)!r} out by itself, otherwise than these layers need"
        )
        raise MismatchError(str(owner.parent), detail, _REMEDY)
    return config


def _written(stack: _Stack, written: set[str]) -> tuple[dict[str, Any], list[str]]:
    """Returns the configuration, and the facts that its words cannot say."""
    config = copy.deepcopy(dict(stack.owner.config))
    unsaid = []
    for key in _parts(config):
        part = config if key is None else config[key]
        own = stack.part(stack.owner, key)
        _set_depth(part, own, stack.owner, len(stack.origins))
        for name, fact in own.facts.items():
            wanted = stack.values(name, key, spelled=True)
            if wanted is None:
                continue
            if wanted[0] in _TAKEN_OVER:
                detail = (
                    f"the first layer's {name} is {wanted[0]!r}: it takes over what a layer before it found"
                )
                raise MismatchError(str(stack.owner.parent), detail, _REMEDY)
            told = name in written or any(k in part for k in fact.keys)
            if not told and all(value == wanted[0] for value in (*wanted, *fact.values)):
                continue
            words = fact.write(wanted)
            if words is None:
                unsaid.append(name)
            part |= {w: value for w, value in (words or {}).items() if w in part or w in own.fields}
    return config, unsaid


def _misread(config: Mapping[str, Any], stack: _Stack) -> set[str]:
    """Returns the facts that transformers would read otherwise than they are meant."""
    wrong = set()
    for key in _parts(config):
        try:
            read = _read(_text(config), key, len(stack.origins)).read
        except PreparationError as error:
            detail = f"a {stack.owner.architecture} cannot have these layers in this order: {error.detail}"
            raise MismatchError(str(stack.owner.parent), detail, _REMEDY) from error
        for name, fact in read.items():
            wanted = stack.values(name, key, spelled=False)
            if wanted is not None and not is_ruled(fact) and list(fact.values) != wanted:
                wrong.add(name)
    return wrong


def _check_layers(config: Mapping[str, Any], stack: _Stack, unsaid: Sequence[str]) -> None:
    from workers.checkpoints.architecture.layer_modules import difference  # slow to import: torch

    owner = stack.owner
    own = stack.network(owner)
    try:
        made = _network(_text(config), owner.layer_prefix, len(stack.origins))
    except PreparationError as error:
        detail = f"a {owner.architecture} cannot have these layers in this order: {error.detail}"
        raise MismatchError(str(owner.parent), detail, _REMEDY) from error
    together = None
    if own.tied is not None:
        together = f"several layers of a {owner.architecture} share their {own.tied!r}"
    elif own.beside is not None and made.beside is not None:
        together = f"the layers of a {owner.architecture} lie in several lists, such as {own.beside!r}"
    if together is not None:
        raise MismatchError(str(owner.parent), f"{together}: they are not moved one by one", _REMEDY)
    why = f" ({', '.join(unsaid)} cannot say it)" if unsaid else ""
    for at, (layout, layer) in enumerate(stack.origins):
        found = difference(made, at, stack.network(layout), layer, own)
        if found is not None:
            detail = f"layer {layer} cannot be layer {at} of a {owner.architecture}: its {found}{why}"
            raise MismatchError(str(layout.parent), detail, _REMEDY)


def _parts(config: Mapping[str, Any]) -> list[str | None]:
    """Returns where a configuration describes the language model: inside parts of it, or (None) flat."""
    nested = [key for key in LANGUAGE_PARTS if isinstance(config.get(key), Mapping)]
    return list(nested) or [None]


def _set_depth(part: dict[str, Any], own: _Part, owner: Layout, layers: int) -> None:
    for name in _depth_keys(own.meant, owner.layer_prefix):
        if name in part or (name in own.fields and name in own.meant):
            part[name] = layers
    # What follows from the depth unless it is told: T5's decoder is as deep as its encoder.
    for name in (*_DECODER_DEPTHS, *_ENCODER_DEPTHS):
        if name in own.fields and name in own.meant and name not in part:
            part[name] = own.meant[name]


def _depth_keys(meant: Mapping[str, Any], prefix: str) -> Sequence[str]:
    """Returns which keys say how many layers there are under a prefix: pairs of stacks have two."""
    decoders = [name for name in _DECODER_DEPTHS if name in meant]
    if not decoders:
        return (*DEPTH_KEYS, "num_blocks")
    if "encoder" in prefix:
        return _ENCODER_DEPTHS
    # A decoder alone: transformers reads the room for its keys and values from the encoder's depth.
    return decoders if meant.get("is_encoder_decoder") else (*decoders, *_ENCODER_DEPTHS)


def _text(config: Mapping[str, Any]) -> str:
    return json.dumps(config, sort_keys=True, default=str)


@lru_cache(maxsize=_KEPT)
def _read(config: str, key: str | None, layers: int) -> _Part:
    from transformers import PreTrainedConfig  # slow to import

    from workers.checkpoints.architecture.meta_model import read_configuration

    told = json.loads(config)
    read = read_configuration(told)
    part = read if key is None else getattr(read, key, None)
    if not isinstance(part, PreTrainedConfig):
        detail = f"a {told.get('model_type')} does not read it as a configuration"
        raise PreparationError(str(key), detail, "keep all layers in their places")
    meant = {name: _listed(value) for name, value in part.to_dict().items()}
    for name in sorted(set(dir(type(part))) - set(dir(PreTrainedConfig))):
        if isinstance(getattr(type(part), name, None), property):
            value = getattr(part, name, None)
            if isinstance(value, list | tuple):
                meant[name] = list(value)
    others = _of_no_layer(type(part))  # type: ignore[arg-type]
    found = facts_of(meant, layers, others)
    spelled = facts_of(told if key is None else told[key], layers, others)
    facts = spelled | {name: fact for name, fact in found.items() if name not in spelled or is_ruled(fact)}
    return _Part(meant, frozenset(getattr(type(part), "__dataclass_fields__", ())), facts, found)


@lru_cache(maxsize=_KEPT)
def _of_no_layer(kind: Any) -> frozenset[str]:  # noqa: ANN401 - a class of transformers
    """Returns an architecture's lists that are not as long as its default model is deep."""
    try:
        default = kind().to_dict()
    except Exception:  # noqa: BLE001 - some architectures have no default model; then names must do
        return frozenset()
    depths = {default[name] for name in DEPTH_KEYS if isinstance(default.get(name), int)}
    lists = {name: len(value) for name, value in default.items() if isinstance(value, list | tuple) and value}
    return frozenset(name for name, length in lists.items() if depths and length not in depths)


def _listed(value: Any) -> Any:  # noqa: ANN401 - JSON
    return list(value) if isinstance(value, tuple) else value


@lru_cache(maxsize=_KEPT)
def _network(config: str, prefix: str, layers: int) -> Any:  # noqa: ANN401 - transformers
    from workers.checkpoints.architecture.layer_modules import layers_of
    from workers.checkpoints.architecture.meta_model import meta_model

    return layers_of(meta_model(json.loads(config)), prefix, layers)
