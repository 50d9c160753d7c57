"""Roots: the folders below which requests may name models, and places for exports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from search_spaces import Parent
from search_spaces.errors import SpaceError
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from service.errors import InvalidSpecError, Mistake
from service.specification.reading import (
    names_an_experiment,
    pointer_to,
    read_part,
    with_absolute_paths,
)

Place = tuple[int | str, ...]

_KEYS = frozenset({  # what names models
    "parents", "base", "layers_of", "chat_templates", "tokenizer_source", "parent", "vision", "judge",
})  # fmt: skip
_HOLDS_RECIPES = frozenset({"recipes", "winner"})


def is_below(path: str | Path, roots: Sequence[Path] | None) -> bool:
    """Says whether a path is, behind all links, inside one of the folders; None allows everything."""
    if roots is None:
        return True
    try:
        real = Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # no such user, a circle of links, a NUL
        return False
    return any(real.is_relative_to(root.expanduser().resolve()) for root in roots)


def check_roots(raw: Mapping[str, Any], roots: Sequence[Path] | None) -> None:
    """Refuses a spec that names models in folders that are not below a root; names of the Hub are no paths.

    Raises:
        InvalidSpecError: Holds one mistake per such place.
    """
    if roots is None:
        return
    if forbidden := tuple(_forbidden(with_absolute_paths(raw), roots)):
        raise InvalidSpecError(forbidden)


def _forbidden(raw: Mapping[str, Any], roots: Sequence[Path]) -> Iterator[Mistake]:
    for place, parent in _named_models(raw):
        for path in (parent.model, parent.adapter):
            if path is not None and path.startswith(("/", "~", ".")) and not is_below(path, roots):
                yield Mistake(
                    pointer_to(*place),
                    "not_allowed",
                    f"{path} is in no folder that this service may read models from",
                    "put it below one of them, or add its folder to EVOMERGE_MODEL_ROOTS",
                )


def _named_models(value: object, *place: int | str) -> Iterator[tuple[Place, Parent]]:
    """Yields every model that the content names, wherever it stands; what cannot be read names none."""
    if not isinstance(value, Mapping | list):
        return
    for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
        where = (*place, key)
        if key in _KEYS:
            several = inner if isinstance(inner, list) else None
            found = [(where, inner)] if several is None else [((*where, i), x) for i, x in enumerate(several)]
            read = ((spot, read_part(Parent, each)) for spot, each in found)
            yield from ((spot, parent) for spot, parent in read if parent is not None)
        elif key in _HOLDS_RECIPES and isinstance(inner, str):
            yield from ((where, parent) for parent in _parents_of(inner))
        elif key in _HOLDS_RECIPES and isinstance(inner, Mapping):
            for name, text in inner.items():
                yield from (((*where, name), parent) for parent in _parents_of(text))
        else:
            yield from _named_models(inner, *where)


def _parents_of(recipe: object) -> tuple[Parent, ...]:
    """Returns the models of a recipe's text; one that cannot be read is told of later, and is not used."""
    if not isinstance(recipe, str) or names_an_experiment(recipe):
        return ()
    try:
        return read_recipe(recipe).all_parents
    except SpaceError:
        return ()
