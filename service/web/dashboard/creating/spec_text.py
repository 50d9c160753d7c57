"""A spec as its author types it: YAML with the line and column of everything in it, and of every mistake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from search_spaces.errors import RecipeFileError, SpaceError
from search_spaces.recipes.strict_yaml import Loader, load_yaml
from service.errors import Mistake
from service.specification.reading import pointer_to, read_spec, with_absolute_paths


class PlacedMistake(BaseModel):
    """A mistake, and where in the text it is; lines and columns count from 1."""

    model_config = ConfigDict(frozen=True)

    pointer: str
    line: int
    column: int
    detail: str
    hint: str


class ReadText(BaseModel):
    """What a text says.

    Attributes:
        content: As JSON; None where it is no YAML mapping.
        places: JSON pointer -> line and column of everything in it.
        mistakes: What is wrong with the text by itself; models and tasks were not looked at.
    """

    model_config = ConfigDict(frozen=True)

    content: dict[str, Any] | None
    places: dict[str, tuple[int, int]]
    mistakes: list[PlacedMistake]


@dataclass(frozen=True, slots=True)
class _Place:
    pointer: str
    line: int
    column: int


def read_text(text: str) -> ReadText:
    """Returns what a text says and all that is wrong with it, without looking at anything else."""
    try:
        content, root = load_yaml(text), Loader(text).get_single_node()
    except RecipeFileError as error:
        return _unread([_of_yaml(problem) for problem in error.problems])
    if not isinstance(content, dict) or root is None:
        hint = "write a mapping: name, parents, objectives, budget ..."
        return _unread(
            [PlacedMistake(pointer="", line=1, column=1, detail="this is no experiment", hint=hint)]
        )
    places = {found.pointer: (found.line, found.column) for found in _walk(root)}
    _, mistakes = read_spec(with_absolute_paths(content))
    return ReadText(content=content, places=places, mistakes=[_placed(m, places) for m in mistakes])


def _unread(mistakes: list[PlacedMistake]) -> ReadText:
    return ReadText(content=None, places={}, mistakes=mistakes)


def _of_yaml(problem: SpaceError) -> PlacedMistake:
    """Returns YAML's own complaint at its line."""
    line = problem.line or 1
    return PlacedMistake(pointer="", line=line, column=1, detail=problem.detail, hint=problem.remedy)


def _placed(mistake: Mistake, places: dict[str, tuple[int, int]]) -> PlacedMistake:
    """Returns the mistake at its own place, or at what holds it where it is missing."""
    pointer = mistake.pointer
    while pointer and pointer not in places:
        pointer = pointer.rpartition("/")[0]
    line, column = places.get(pointer, (1, 1))
    return PlacedMistake(
        pointer=mistake.pointer, line=line, column=column, detail=mistake.detail, hint=mistake.remedy
    )


def _walk(node: yaml.Node, *path: int | str) -> Iterator[_Place]:
    yield _Place(pointer_to(*path), node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield from _walk(value, *inner)
            # A key's own place: a value that is a block begins on the line below it.
            yield _Place(pointer_to(*inner), key.start_mark.line + 1, key.start_mark.column + 1)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield from _walk(value, *path, place)
