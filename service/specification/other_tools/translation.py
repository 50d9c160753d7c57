"""Translation: another tool's file as an experiment, and where each part of it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from search_spaces.errors import did_you_mean
from service.errors import Mistake
from service.specification.reading import hint_for, pointer_to

_LARGEST_USUAL_POPULATION = 24  # of CMA-ES with a thousand genes
_SMALLEST_POPULATION = 3


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a translation says of the file.

    Attributes:
        pointer: Where in the file it stands, as a JSON pointer; empty where it is about the whole.
        is_warning: What the file asks for is not done, or likely not meant.
        is_ignored_key: The other tool ignores this key in silence; `--strict` refuses it.
    """

    pointer: str
    text: str
    is_warning: bool = False
    is_ignored_key: bool = False


@dataclass(frozen=True, slots=True)
class Translation:
    """An experiment that another tool's file describes.

    Attributes:
        tool: Whose file it is.
        content: What it says, as an experiment's spec.
        origins: For places of the spec (JSON pointers), the places of the file that they were read from.
    """

    tool: str
    content: dict[str, Any]
    origins: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()

    def origin_of(self, pointer: str) -> str:
        """Returns the place of the file that a place of the spec was read from."""
        where = pointer
        while where not in self.origins and where:
            where = where.rpartition("/")[0]
        return self.origins.get(where, "")


def with_small_population(content: dict[str, Any]) -> dict[str, Any]:
    """Returns the spec with generations that a small budget holds two of, where it says nothing of them.

    Other tools evaluate a whole generation whatever the budget; here a budget is kept.
    """
    optimizer, candidates = content["optimizer"], content["budget"].get("candidates")
    if (
        "population" in optimizer
        or not isinstance(candidates, int)
        or candidates >= _LARGEST_USUAL_POPULATION
    ):
        return content
    return content | {"optimizer": optimizer | {"population": max(candidates // 2, _SMALLEST_POPULATION)}}


class UntranslatableError(Exception):
    """A file of another tool with mistakes; their pointers are places of that file."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(map(str, self.mistakes)))


def untranslatable(error: ValidationError) -> UntranslatableError:
    """Returns the mistakes that pydantic found in a file."""
    found = []
    for each in error.errors(include_url=False):
        cause = each.get("ctx", {}).get("error")
        where = tuple(part for part in each["loc"] if not str(part).startswith("function-"))
        detail, hint = f"{each['input']!r:.80} does not fit: {each['msg']}", hint_for(each)
        if each["type"] == "missing":
            detail = f"{where[-1]} is missing"
        elif cause is not None:
            detail, _, hint = str(cause).partition("; ")
        found.append(Mistake(pointer_to(*where), each["type"], detail, hint or "correct it"))
    return UntranslatableError(found)


def ignored_keys(content: Mapping[str, Any], known: Iterable[str], path: str, tool: str) -> list[Remark]:
    """Returns a remark for each key that the other tool would ignore in silence."""
    names, found = list(known), []
    for key in content:
        if key not in names:
            near = did_you_mean(str(key), names)
            near = f"; {near}" if near.startswith("did you mean") else ""
            text = f"unknown key {key!r}, which {tool} ignores in silence, is ignored{near}"
            found.append(Remark(path + pointer_to(key), text, is_warning=True, is_ignored_key=True))
    return found
