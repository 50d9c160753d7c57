"""Roots: the folders below which requests may name models, and places for exports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from search_spaces import Parent
from service.errors import InvalidSpecError, Mistake
from service.specification.reading import pointer_to, read_part, with_absolute_paths


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
    """Refuses a spec with parents in folders that are not below a root; names of the Hub are no paths.

    Raises:
        InvalidSpecError: Holds one mistake per such parent.
    """
    if forbidden := tuple(_forbidden_parents(with_absolute_paths(raw), roots)):
        raise InvalidSpecError(forbidden)


def _forbidden_parents(raw: Mapping[str, Any], roots: Sequence[Path] | None) -> Iterator[Mistake]:
    listed = raw.get("parents")
    named = [(("parents", i), each) for i, each in enumerate(listed if isinstance(listed, list) else ())]
    for place, each in [*named, (("base",), raw.get("base"))]:
        parent = read_part(Parent, each)
        for path in () if parent is None else (parent.model, parent.adapter):
            if path is not None and path.startswith(("/", "~")) and not is_below(path, roots):
                yield Mistake(
                    pointer_to(*place),
                    "not_allowed",
                    f"{path} is in no folder that this service may read models from",
                    "put it below one of them, or add its folder to EVOMERGE_MODEL_ROOTS",
                )
