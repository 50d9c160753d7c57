"""Mistakes that the schema of an experiment's file gives: each a file's content, and where it is wrong."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.specification.json_schema import spec_schema

SCHEMA = spec_schema()

RIGHT: Mapping[str, Any] = {
    "name": "right",
    "parents": ["org/left", "org/right@v2"],
    "base": "org/base",
    "space": {"method": "ties", "layer_groups": 4, "filters": ["mlp"], "bounds": {"weight": [0.0, 1.5]}},
    "objectives": [
        {"task": "words", "metric": "acc", "num_fewshot": 2, "max_items": 200, "weight": 2.0,
         "splits": {"search": 0.5, "selection": 0.2, "test": 0.3}},
        {"kind": "perplexity", "file": "texts.txt", "name": "texts", "direction": "minimize"},
    ],
    "optimizer": {"algorithm": "cma_es", "population": 8, "sigma": 0.2, "order": "committed"},
    "budget": {"candidates": 50, "seconds": 3600.0, "failures": 3, "target": 0.9, "stagnation": 20},
    "measures": [{"kind": "share", "parent": "org/left", "low": 0.0, "high": 1.0, "cells": 5}],
    "constraints": [{"kind": "score", "objective": "words", "at_least": 0.3}],
    "racing": {"z": 2.0, "batch": 20, "told": "estimate"},
    "baselines": {"standard_recipes": False},
    "examination": {"finalists": 4, "mean": True},
    "dtype": "bfloat16",
    "seed": 7,
    "batch_size": 16,
    "failure_policy": "worst",
}  # fmt: skip
"""A spec that says something everywhere."""

_WRONG_TYPES: Mapping[str, list[Any]] = {
    "integer": ["several", [1], 2.5, True],
    "number": ["much", [0.5], {"value": 1.0}],
    "string": [3, ["text"], True],
    "boolean": ["perhaps", 3, []],
    "array": ["alone", {"first": 1}, 3],
    "object": ["text", [1], 3],
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """A spec with one mistake.

    Attributes:
        path: Where it stands; of what is missing, what it is missing in.
    """

    what: str
    path: tuple[int | str, ...]
    content: dict[str, Any]


def mistakes(count: int, seed: int) -> list[Wrong]:
    """Returns this many mistakes, drawn evenly from all that the schema gives."""
    every = list(_under(SCHEMA, RIGHT, ()))
    chosen = random.Random(seed).sample(every, count)
    return [_made(*each) for each in chosen]


Change = tuple[str, tuple[int | str, ...], str, Any]  # what, where, `set` or `drop` or `rename`, value


def _under(schema: Mapping[str, Any], value: Any, path: tuple[int | str, ...]) -> Iterator[Change]:
    for form in _forms(schema, value):
        yield from _of_value(form, path)
        if isinstance(value, dict) and "properties" in form:
            yield from _of_keys(form, value, path)
            for key, inner in value.items():
                yield from _under(form["properties"][key], inner, (*path, key))
        if isinstance(value, list) and isinstance(form.get("items"), dict):
            for place, inner in enumerate(value):
                yield from _under(form["items"], inner, (*path, place))


def _forms(schema: Mapping[str, Any], value: Any) -> list[Mapping[str, Any]]:
    """Returns what the schema says of a value of this type, unions and references laid open."""
    if "$ref" in schema:
        return _forms(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], value)
    members = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if members:
        found = [form for member in members for form in _forms(member, value)]
        fitting = [
            f for f in found if not isinstance(value, dict) or set(value) <= set(f.get("properties", value))
        ]
        return fitting[:1]
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return [schema] if schema.get("type") in (None, kinds[type(value)]) or schema.get("enum") else []


def _of_value(form: Mapping[str, Any], path: tuple[int | str, ...]) -> Iterator[Change]:
    kind = form.get("type", "")
    if not path or (kind == "string" and path[-1] in ("base", "parent")):
        return
    for wrong in _WRONG_TYPES.get(kind, ()):
        yield f"a {type(wrong).__name__} for a {kind}", path, "set", wrong
    for what, value in _out_of_bounds(form):
        yield what, path, "set", value


def _out_of_bounds(form: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if "enum" in form or "const" in form:
        yield "an unknown word", "nonsense"
    for key, step in (("minimum", -1), ("exclusiveMinimum", 0), ("maximum", 1), ("exclusiveMaximum", 0)):
        if key in form:
            number = form[key] + step
            yield f"beyond {key}", number if form["type"] == "integer" else float(number)
    if form.get("type") == "number":
        yield from (("no finite number", float(word)) for word in ("nan", "inf", "-inf"))
    if form.get("minItems"):
        yield "an empty list", []
    if form.get("maxLength", 10**6) <= 1024:
        yield "too long a text", "x" * (form["maxLength"] + 1)
    if form.get("minLength"):
        yield "an empty text", ""


def _of_keys(
    form: Mapping[str, Any], value: Mapping[str, Any], path: tuple[int | str, ...]
) -> Iterator[Change]:
    for key in form.get("required", ()):
        if key in value:
            yield "a missing key", (*path, key), "drop", None
    for key in value:
        if len(key) > 3:
            yield "a misspelt key", (*path, key), "rename", key[:-2] + key[-1] + key[-2] + "x"
    yield "an unknown key", (*path, "nonsense"), "set", 1


def _made(what: str, path: tuple[int | str, ...], kind: str, value: Any) -> Wrong:
    content = copy.deepcopy(dict(RIGHT))
    place: Any = content
    for part in path[:-1]:
        place = place[part]
    if kind == "set":
        place[path[-1]] = value
    elif kind == "drop":
        del place[path[-1]]
        return Wrong(what, path[:-1], content)
    else:
        place[value] = place.pop(path[-1])
        return Wrong(what, (*path[:-1], value), content)
    return Wrong(what, path, content)
