"""Collects the mistakes of a text, so that they can be told together, and what in it means nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from search_spaces.errors import RecipeError, SpaceError, UnknownNameError, did_you_mean
from search_spaces.recipes.mergekit.names import EVERYWHERE, PARAMETERS
from search_spaces.recipes.spelling import meant


@dataclass(frozen=True, slots=True)
class Notice:
    """Something in a text that is not read, or not as it seems; no mistake to mergekit.

    Attributes:
        field: Where it stands, as a dotted path.
        detail: What it does not do.
        remedy: What to write instead, or that it can go.
        line: In the text, from 1.
    """

    field: str
    detail: str
    remedy: str
    line: int | None = None

    def __str__(self) -> str:
        place = "" if self.line is None else f"line {self.line}: "
        return f"{place}{self.field}: {self.detail}; {self.remedy}"


class Problems:
    """The mistakes found so far, in the order in which they were found.

    Attributes:
        notices: What is told and ignored.  Where it is None, what mergekit ignores is a mistake.
        lines: Dotted path -> line of the text.
        within: Path of what is read as if it stood at the file's top, with its dot.
    """

    def __init__(self, lines: Mapping[str, int] | None = None, notices: list[Notice] | None = None) -> None:
        self.found: list[SpaceError] = []
        self.notices = notices
        self.lines, self.within = lines or {}, ""

    def __len__(self) -> int:
        return len(self.found)

    def refuse(self, field: str, detail: str, remedy: str) -> None:
        """Notes one mistake."""
        self.add([RecipeError(field, detail, remedy)])

    def add(self, problems: Iterable[SpaceError]) -> None:
        """Notes mistakes that others found."""
        for problem in problems:
            problem.line = problem.line or self.line_of(problem.field)
            self.found.append(problem)

    def unknown(self, field: str, kind: str, value: object, known: Iterable[str]) -> None:
        """Notes a name that is not declared."""
        self.add([UnknownNameError(field, kind, str(value), known)])

    def remark(self, field: str, detail: str, remedy: str) -> None:
        """Notes what is allowed and changes nothing."""
        if self.notices is not None:
            self.notices.append(Notice(field, detail, remedy, self.line_of(field)))

    def idle(self, field: str, detail: str, remedy: str) -> None:
        """Notes what mergekit ignores: told where somebody listens, else a mistake."""
        if self.notices is None:
            self.refuse(field, detail, remedy)
        else:
            self.remark(field, detail, remedy)

    def check_keys(self, content: Mapping[Any, Any], known: Sequence[str], path: str) -> None:
        """Notes the keys that are not known; `path` is what precedes them, with its dot."""
        for key in content:
            if key not in known:
                self.idle_name(f"{path}{key}", "key", str(key), known)

    def idle_name(self, field: str, kind: str, name: str, known: Iterable[str]) -> None:
        """Notes a name that is not declared: a mistake where another is meant, else told and ignored."""
        names = tuple(known)
        if self.notices is None or (name not in EVERYWHERE and meant(name, names) is not None):
            self.unknown(field, kind, name, names)
            return
        remedy = "take it out"
        if kind == "key" and name in PARAMETERS:
            remedy = "if it is a parameter, write it under parameters"
        elif (near := did_you_mean(name, names)).startswith("did you mean"):
            remedy = f"{remedy}, or {near}"
        self.remark(field, f"there is no such {kind}: it changes nothing (in mergekit neither)", remedy)

    def line_of(self, field: str) -> int | None:
        """Returns the line of a field, or of the nearest thing around it; None where there is none."""
        for start in dict.fromkeys((self.within, "")):
            path = f"{start}{field}"
            while path and path not in self.lines:
                path = path.rpartition(".")[0]
            if path and len(path) >= len(start):
                return self.lines[path]
        return self.lines.get("")


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
