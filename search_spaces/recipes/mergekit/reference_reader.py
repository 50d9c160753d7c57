"""Reads what names a model in a recipe: a text, or mergekit's mapping of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from search_spaces.recipes.mergekit.problems import Problems, kind_of, unwrap
from search_spaces.recipes.parent import Parent


def reference_in(value: object, field: str, problems: Problems) -> Parent | None:
    """Returns the parent that a value names; None where it names none, after saying so."""
    if isinstance(value, Mapping) and "model" in value:
        return _of_parts(value, field, problems)
    if not isinstance(value, str):
        problems.refuse(
            field, f"{kind_of(value)} is no model", "write a folder, org/name or org/name@revision"
        )
        return None
    return _parent(value, field, problems)


def _of_parts(value: Mapping[str, Any], field: str, problems: Problems) -> Parent | None:
    """Reads `{model: {path, revision}, lora: {path, revision}}`."""
    problems.check_keys(value, ("model", "lora", "override_architecture"), f"{field}.")
    if value.get("override_architecture") is not None:
        detail = "it is not read: the names of the weights say how the model is built"
        problems.idle(f"{field}.override_architecture", detail, "take it out")
    model = _path(value["model"], f"{field}.model", problems)
    adapter = {} if value.get("lora") is None else _path(value["lora"], f"{field}.lora", problems)
    if model is None or adapter is None:
        return None
    parts = {"model": model["path"], "revision": model["revision"]}
    if adapter:
        parts |= {"adapter": adapter["path"], "adapter_revision": adapter["revision"]}
    return _parent(parts, field, problems)


def _path(value: object, field: str, problems: Problems) -> dict[str, Any] | None:
    if isinstance(value, str):
        path, _, after = value.partition("@")
        return {"path": path, "revision": after or None}
    if not isinstance(value, Mapping) or not isinstance(value.get("path"), str):
        problems.refuse(field, f"{kind_of(value)} is no place of a model", "write path: in it")
        return None
    problems.check_keys(value, ("path", "revision"), f"{field}.")
    revision = value.get("revision")
    return {"path": value["path"], "revision": None if revision is None else str(revision)}


def _parent(value: object, field: str, problems: Problems) -> Parent | None:
    try:
        return Parent.model_validate(value)
    except ValidationError as error:
        problems.add(unwrap(error, field))
        return None
