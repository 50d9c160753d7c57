"""Reads a spec that may be wrong: every mistake in it, and every part that is right.

pydantic finds the mistakes; this file says them the house's way: a JSON pointer into what the user
wrote, a code, what is wrong with which value, and what to do.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, TypeGuard, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from search_spaces import Parent
from search_spaces.errors import SpaceError, did_you_mean
from service.errors import MOST_MISTAKES, Mistake
from service.experiment.spec import ExperimentSpec
from service.specification.template_files import with_template_files

MOST_LOOKED_AT = 2 * MOST_MISTAKES  # a value may be wrong once for each member of a union
LONGEST_KEY = 100  # characters of a key for which a likely one is sought

T = TypeVar("T")
Location = tuple[int | str, ...]

CODES = {"extra_forbidden": "unknown_key", "literal_error": "unknown_name", "value_error": "bad_value"}
_HINTS = {
    "missing": "add it",
    "literal_error": "use {expected}",
    "greater_than_equal": "use {ge} or more",
    "greater_than": "use more than {gt}",
    "less_than_equal": "use {le} or less",
    "less_than": "use less than {lt}",
    "too_short": "give at least {min_length}",
    "too_long": "give at most {max_length}",
    "string_too_short": "write at least {min_length} characters",
    "string_too_long": "write at most {max_length} characters",
    "string_type": "write text",
    "string_pattern_mismatch": "leave line breaks and control characters out",
    "int_type": "write a whole number",
    "float_type": "write a number",
    "bool_type": "write true or false",
    "finite_number": "write a finite number",
    "tuple_type": "write a list",
    "dict_type": "write a mapping",
    "model_type": "write a mapping",
}


def with_absolute_paths(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content with absolute local paths, so that it means the same in every process."""
    content = dict(raw)
    if isinstance(parents := content.get("parents"), list):
        content["parents"] = [_absolute_parent(parent) for parent in parents]
    if isinstance(space := content.get("space"), dict):
        content["space"] = _absolute_layers_of(space)
    for key in ("measures", "constraints"):
        if isinstance(items := content.get(key), list):
            content[key] = [_with_absolute_parent(item) for item in items]
    if isinstance(objectives := content.get("objectives"), list):
        content["objectives"] = [_with_absolute_file(item) for item in objectives]
    for key in ("base", "vision"):
        if key in content and content[key] != "search":
            content[key] = _absolute_parent(content[key])
    if "tasks_path" in content:
        content["tasks_path"] = _absolute_folders(content["tasks_path"])
    return with_template_files(content, lambda name: str(_absolute_parent(name, certainly_local=True)))


def _absolute_folders(said: object) -> object:
    if isinstance(said, list):
        return [_absolute_parent(folder, certainly_local=True) for folder in said]
    return _absolute_parent(said, certainly_local=True)


def _absolute_layers_of(space: Mapping[str, Any]) -> dict[str, Any]:
    """The parents that a space of stacked layers names are written like the parents themselves."""
    found = dict(space)
    for key in ("layers_of", "chat_templates"):
        if isinstance(listed := found.get(key), list):
            found[key] = [_absolute_parent(parent) for parent in listed]
    if isinstance(stacking := found.get("stacking"), dict):
        found["stacking"] = _absolute_layers_of(stacking)
    if (source := found.get("tokenizer_source")) not in (None, "base", "union"):
        found["tokenizer_source"] = _absolute_parent(source)
    return found


def _with_absolute_file(item: object) -> object:
    """An objective's file is certainly local; the parent it compares with may have a short name."""
    if not isinstance(item, dict):
        return item
    local = ("file", "judge") if item.get("kind") == "model_judge" else ("file",)
    return item | {key: _absolute_parent(item[key], certainly_local=True) for key in local if key in item}


def _with_absolute_parent(item: object) -> object:
    if not isinstance(item, dict) or "parent" not in item:
        return item
    return item | {"parent": _absolute_parent(item["parent"])}


def _absolute_parent(value: object, *, certainly_local: bool = False) -> object:
    if not isinstance(value, str) or not value:
        return value
    if certainly_local or value.startswith((".", "/", "~")) or is_folder(value):
        try:
            return str(Path(value).expanduser().absolute())
        except RuntimeError:  # ~name of a user that this machine does not have
            return value
    return value


def names_an_experiment(winner: object) -> TypeGuard[str]:
    """Says whether a space's winner is the name of an experiment, and not a recipe."""
    return isinstance(winner, str) and "\n" not in winner and not winner.lstrip().startswith("{")


def average_of(parents: object) -> str | None:
    """Returns the recipe of the parents' average: what stands in for a winner that is not known.

    A space of stacked layers has the same genes with it as with any other mixture.
    """
    listed = parents if isinstance(parents, list) else []
    read = [parent for each in listed if (parent := read_part(Parent, each)) is not None]
    models = [{"model": str(parent), "parameters": {"weight": 1.0}} for parent in read]
    return str(yaml.safe_dump({"merge_method": "linear", "models": models})) if models else None


def is_folder(path: str) -> bool:
    """Says whether there is such a folder; a name that no folder can have is none."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def read_spec(raw: Mapping[str, Any]) -> tuple[ExperimentSpec | None, list[Mistake]]:
    """Returns the spec, or what keeps the content from being one.  Types are taken strictly."""
    unsayable = list(not_json(raw))
    try:
        spec = ExperimentSpec.model_validate_json(json.dumps(raw, default=str), strict=True)
    except ValidationError as error:
        told = {mistake.pointer for mistake in unsayable}
        return None, [*unsayable, *(m for m in mistakes_in(error, raw) if m.pointer not in told)]
    return (None, unsayable) if unsayable else (spec, [])


def not_json(value: object, *path: int | str) -> Iterator[Mistake]:
    """Yields the values of YAML that no JSON can say, wherever they stand: NaN, infinity, dates."""
    if isinstance(value, float) and not math.isfinite(value):
        yield Mistake(pointer_to(*path), "finite_number", f"{value} is no finite number", "write a number")
    elif isinstance(value, Mapping | list | tuple):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, inner in items:
            yield from not_json(inner, *path, key)
    elif value is not None and not isinstance(value, str | int | float):
        kind = type(value).__name__
        yield Mistake(pointer_to(*path), "no_json", f"{value} is a {kind}", "write it in quotes, as text")


def read_part(kind: type[T], raw: object) -> T | None:
    """Returns one part of a spec, or None where it is wrong: its mistakes are told with the whole."""
    try:
        return TypeAdapter(kind).validate_json(json.dumps(raw), strict=True)
    except ValidationError:
        return None


def mistakes_in(error: ValidationError, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yields one mistake for each thing that pydantic found."""
    found = [each for each in error.errors(include_url=False) if not _is_echo(each)]
    # Of very many only the first are looked at closely: more will not be told.
    found = sorted(found, key=lambda each: each["type"] == "extra_forbidden")
    beyond, found = found[MOST_LOOKED_AT:], found[:MOST_LOOKED_AT]
    places = [_Spot(each["loc"], raw) for each in found]
    likely = _likely_members(places)
    for each, place in zip(found, places, strict=True):
        if place.member is None or likely[place.member[0]] == place.member[1]:
            yield _mistake(each, place)
    for each in beyond:
        yield Mistake(pointer_to(*each["loc"]), CODES.get(each["type"], each["type"]), each["msg"])


def pointer_to(*parts: int | str) -> str:
    """Returns the JSON pointer (RFC 6901) of a place."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def from_space_error(error: SpaceError, pointer: str | None = None) -> Mistake:
    """Returns the mistake that a search space's error tells of; its field is a dotted path."""
    where = pointer if pointer is not None else pointer_to(*error.field.split("."))
    return Mistake(where, error.code, error.detail, error.remedy)


class _Spot:
    """Where an error stands: in the user's content, and in the models that describe it.

    pydantic mixes into a location which member of a union it tried; that is no place of the content.

    Attributes:
        path: The location in the content.
        member: Before which place a member of a union was tried, and which; None outside of unions.
        known: The keys that may stand beside the last one.
    """

    def __init__(self, location: Location, raw: object) -> None:
        kinds: list[Any] = [ExperimentSpec]
        self.path: Location = ()
        self.member: tuple[Location, str] | None = None
        self.known: list[str] = []
        for part in location:
            self.known = sorted({name for model in _models(kinds) for name in model.model_fields})
            if part in self.known or isinstance(part, int) or (isinstance(raw, Mapping) and part in raw):
                kinds = [inner for kind in kinds for inner in _inside(kind, part)]
                raw = _at(raw, part)
                self.path = (*self.path, part)
            else:
                self.member = (self.path, str(part))
                kinds = [model for model in _models(kinds) if model.__name__ in str(part)] or kinds


def _at(raw: object, part: int | str) -> object:
    """Returns what stands at a key or position of the user's content; None where nothing does."""
    if isinstance(raw, Mapping):
        return raw.get(part)
    return raw[part] if isinstance(raw, list) and isinstance(part, int) and part < len(raw) else None


def _models(kinds: Sequence[Any]) -> list[type[BaseModel]]:
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _is_echo(error: ErrorDetails) -> bool:
    """Says whether a list is only called too short because what it holds was refused already."""
    long_enough = error.get("ctx", {}).get("min_length", 0)
    return error["type"] == "too_short" and len(error["input"]) >= long_enough


def _likely_members(places: Sequence[_Spot]) -> dict[Location, str]:
    """Returns, where a value fits no member of a union, the member with which the least is wrong."""
    counts = Counter(place.member for place in places if place.member is not None)
    likely: dict[Location, str] = {}
    for (where, name), _ in sorted(counts.items(), key=lambda item: item[1]):
        likely.setdefault(where, name)
    return likely


def _inside(kind: object, part: int | str) -> list[Any]:
    """Returns the types that may stand at a key or position of a type; unions count as each member."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return _members(field.annotation) if field is not None else []
    arguments = get_args(kind)
    if get_origin(kind) is tuple and isinstance(part, int):
        return _members(arguments[0 if arguments[-1] is Ellipsis else min(part, len(arguments) - 1)])
    if get_origin(kind) is dict:
        return _members(arguments[1])
    return []


def _members(annotation: object) -> list[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):  # Annotated
        return _members(arguments[0])
    if origin is None or origin in (tuple, dict, list):
        return [annotation]
    return [inner for member in arguments if member is not NoneType for inner in _members(member)]


def _mistake(error: ErrorDetails, place: _Spot) -> Mistake:
    kind, context = error["type"], error.get("ctx", {})
    pointer = pointer_to(*place.path)
    cause = context.get("error")
    if isinstance(cause, SpaceError):
        return from_space_error(cause, pointer)
    code, remedy = CODES.get(kind, kind), hint_for(error)
    if kind == "extra_forbidden":
        key = str(place.path[-1])
        nearest = did_you_mean(key, place.known) if len(key) <= LONGEST_KEY else "see `evomerge schema`"
        return Mistake(pointer, code, f"unknown key {_quoted(key)}", nearest)
    if kind == "missing":
        return Mistake(pointer, code, f"{place.path[-1]} is missing", remedy)
    if kind == "value_error":
        detail, _, remedy = str(cause).partition("; ")
        return Mistake(pointer, code, detail, remedy)
    message = error["msg"][:1].lower() + error["msg"][1:]
    if kind == "unknown_name":  # our own words: what is wrong, and what there is
        message, _, remedy = message.partition("; ")
    return Mistake(pointer, code, f"{_short(error['input'])} does not fit: {message}", remedy)


def hint_for(error: ErrorDetails) -> str:
    """Returns what to write instead of what pydantic refused; empty where that depends."""
    return _HINTS.get(error["type"], "").format(**error.get("ctx", {}))


def _quoted(key: object) -> str:
    text = str(key)
    return repr(text) if len(text) <= 80 else repr(text[:77] + "...")


def _short(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
