"""Collects the mistakes of a text, so that they can be told together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from search_spaces.errors import RecipeError, SpaceError, UnknownNameError


class Problems:
    """The mistakes found so far, in the order in which they were found."""

    def __init__(self) -> None:
        self.found: list[SpaceError] = []

    def __len__(self) -> int:
        return len(self.found)

    def refuse(self, field: str, detail: str, remedy: str) -> None:
        """Notes one mistake."""
        self.found.append(RecipeError(field, detail, remedy))

    def add(self, problems: Iterable[SpaceError]) -> None:
        """Notes mistakes that others found."""
        self.found += problems

    def unknown(self, field: str, kind: str, value: object, known: Iterable[str]) -> None:
        """Notes an undeclared name."""
        self.found.append(UnknownNameError(field, kind, str(value), known))

    def check_keys(self, content: Mapping[Any, Any], known: Sequence[str], path: str) -> None:
        """Notes the keys that are not known; `path` is what precedes them, with its dot."""
        for key in content:
            if key not in known:
                self.unknown(f"{path}{key}", "key", key, known)


def unwrap(error: ValidationError, field: str) -> list[SpaceError]:
    """Returns the errors that pydantic wrapped; those that are not ours get this field."""
    found: list[SpaceError] = []
    for item in error.errors(include_url=False):
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, SpaceError):
            found.append(cause)
        else:
            detail, _, remedy = str(cause or item["msg"]).partition("; ")
            found.append(RecipeError(field, detail, remedy or "correct it"))
    return found


def kind_of(value: object) -> str:
    """Names a value for a message: short ones themselves, others by their type."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "nothing" if value is None else f"{value!r:.60}"
