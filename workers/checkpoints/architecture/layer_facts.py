"""What a configuration says of each layer, read from its many shapes and written back.  Torch-free.

Configurations say it with one entry per layer (`layer_types`), with the numbers of some layers
(`mlp_only_layers`), with a bound (`first_k_dense_replace`), a window, a period, a cycle, or a table by
number (`per_layer_config`).  Read here, a fact has one value per layer, which can be put into another
order; writing says it in the configuration's own words, where these can.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Words = dict[str, Any]
"""Keys of a configuration and their values."""

_NUMBERS = re.compile(r"(?!mtp_).*(_layers|_indices|_idxs|_ids|_indexes)")
_NO_LAYERS = re.compile(
    r".*(token|architecture|lang|label|suppress|limit|multiplier|shape|dims|cycles|mtp_|byte).*"
)
_NOT_NUMBERS = ("no_rope_layers", "attention_layers", "attn_layers")  # one entry per layer, whatever it is
_FROM_ONE = ("ple_layer_ids",)
_BOUNDS = ("first_k_dense_replace", "num_dense_layers", "num_hash_layers")
_PERIODS = (("attn_layer_period", "attn_layer_offset"), ("expert_layer_period", "expert_layer_offset"))
_WINDOW = ("moe_layer_start_index", "moe_layer_end_index", "moe_layer_interval")
_CYCLES = ("block_types",)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that a configuration says of its layers.

    Attributes:
        values: One per layer.
        keys: Where the configuration says it.
        write: Says other values in the same words; None where these cannot.
    """

    values: tuple[Any, ...]
    keys: tuple[str, ...]
    write: Callable[[Sequence[Any]], Words | None]


def facts_of(part: Mapping[str, Any], layers: int, others: Collection[str] = ()) -> dict[str, Fact]:
    """Returns all facts that a configuration has of its layers, by the key that says them.

    Args:
        part: The configuration, or the part of it that describes the language model.
        layers: How many layers it describes.
        others: Keys of lists that have no entry per layer, however long they are.
    """
    found = {fact.keys[0]: fact for fact in _ruled(part, layers)}
    told = {key for fact in found.values() for key in fact.keys}
    for key, value in part.items():
        if key in told or _NO_LAYERS.fullmatch(key):
            continue
        fact: Fact | None
        if isinstance(value, list):
            fact = _listed(key, value, layers)
            if key in others and isinstance(fact and fact.write, _OneEach):
                continue
        elif isinstance(value, Mapping) and "layer" in key and value and all(map(_is_number, value)):
            fact = _tabled(key, value, layers)
        elif isinstance(value, str) and "pattern" in key and len(value) == layers:
            fact = Fact(tuple(value), (key,), _Letters(key))  # hybrid_override_pattern: one letter each
        else:
            continue
        if fact is not None:
            found[key] = fact
    return found


def is_ruled(fact: Fact) -> bool:
    """Says whether a fact follows from a rule over the layer's number."""
    return not isinstance(fact.write, _OneEach | _Numbers | _Table | _Letters)


def _listed(key: str, value: list[Any], layers: int) -> Fact | None:
    first = int(key in _FROM_ONE)
    numbers = range(first, layers + first)
    if _NUMBERS.fullmatch(key) and key not in _NOT_NUMBERS and _are_distinct(value, numbers):
        return Fact(tuple(number in value for number in numbers), (key,), _Numbers(key, first))
    return Fact(tuple(value), (key,), _OneEach(key)) if len(value) == layers else None


def _tabled(key: str, value: Mapping[Any, Any], layers: int) -> Fact:
    by_number = {int(number): entry for number, entry in value.items()}
    return Fact(tuple(by_number.get(layer) for layer in range(layers)), (key,), _Table(key))


def _ruled(part: Mapping[str, Any], layers: int) -> Iterator[Fact]:
    """Yields the facts that follow from rules over the layer's number."""
    numbers = range(layers)
    for key in _BOUNDS:
        if _is_count(part.get(key)):
            yield Fact(tuple(layer < part[key] for layer in numbers), (key,), _Bound(key))
    for keys in _PERIODS:
        if all(_is_count(part.get(key)) for key in keys) and part[keys[0]]:
            period, offset = (part[key] for key in keys)
            yield Fact(tuple(n % period == offset for n in numbers), keys, _Period(keys))
    step, dense = part.get("decoder_sparse_step"), part.get("mlp_only_layers")
    if _is_count(step) and step:
        sparse = tuple((n + 1) % step == 0 and n not in (dense or ()) for n in numbers)
        yield Fact(sparse, ("mlp_only_layers", "decoder_sparse_step"), _sparse_steps)
    if all(isinstance(part.get(key), int) for key in _WINDOW) and part[_WINDOW[2]] > 0:
        start, end, interval = (part[key] for key in _WINDOW)
        end = layers - 1 if end == -1 else end
        inside = tuple(start <= n <= end and (n + 1) % interval == 0 for n in numbers)
        yield Fact(inside, _WINDOW, _window)
    for key in _CYCLES:
        if isinstance(part.get(key), list) and part[key]:
            yield Fact(tuple(part[key][n % len(part[key])] for n in numbers), (key,), _OneEach(key))
    kinds = part.get("attention_layers")
    if isinstance(part.get("attention_types"), list) and isinstance(kinds, list) and len(kinds) == layers:
        yield Fact(tuple(kinds), ("attention_types", "attention_layers"), _gpt_neo)


@dataclass(frozen=True, slots=True)
class _OneEach:
    key: str

    def __call__(self, values: Sequence[Any]) -> Words:
        return {self.key: list(values)}


@dataclass(frozen=True, slots=True)
class _Numbers:
    key: str
    first: int

    def __call__(self, values: Sequence[Any]) -> Words:
        return {self.key: [number for number, listed in enumerate(values, self.first) if listed]}


@dataclass(frozen=True, slots=True)
class _Letters:
    key: str

    def __call__(self, values: Sequence[Any]) -> Words:
        return {self.key: "".join(values)}


@dataclass(frozen=True, slots=True)
class _Table:
    key: str

    def __call__(self, values: Sequence[Any]) -> Words:
        return {self.key: {str(n): entry for n, entry in enumerate(values) if entry is not None}}


@dataclass(frozen=True, slots=True)
class _Bound:
    key: str

    def __call__(self, values: Sequence[Any]) -> Words | None:
        bound = sum(map(bool, values))
        return {self.key: bound} if all(values[:bound]) else None


@dataclass(frozen=True, slots=True)
class _Period:
    keys: tuple[str, str]

    def __call__(self, values: Sequence[Any]) -> Words | None:
        """The shortest period that fits; one layer past the end is the offset where no layer is meant."""
        for period in range(1, len(values) + 2):
            for offset in range(period):
                if all(bool(value) == (n % period == offset) for n, value in enumerate(values)):
                    return dict(zip(self.keys, (period, offset), strict=True))
        return None


def _sparse_steps(values: Sequence[Any]) -> Words:
    """Every layer is a mixture, except those that are listed."""
    return {
        "decoder_sparse_step": 1,
        "mlp_only_layers": [layer for layer, sparse in enumerate(values) if not sparse],
    }


def _window(values: Sequence[Any]) -> Words | None:
    """The window from the first to the last mixture, with the smallest interval that fits."""
    inside = [layer for layer, value in enumerate(values) if value]
    if not inside:
        return dict(zip(_WINDOW, (len(values), len(values), 1), strict=True))
    for interval in range(1, len(values) + 1):
        met = [n for n in range(inside[0], inside[-1] + 1) if (n + 1) % interval == 0]
        if met == inside:
            return dict(zip(_WINDOW, (inside[0], inside[-1], interval), strict=True))
    return None


def _gpt_neo(values: Sequence[Any]) -> Words:
    return {"attention_types": [[list(values), 1]], "attention_layers": list(values)}


def _are_distinct(value: Sequence[Any], numbers: range) -> bool:
    sound = all(isinstance(n, int) and not isinstance(n, bool) and n in numbers for n in value)
    return sound and len(set(value)) == len(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(key: object) -> bool:
    return str(key).isdigit()
