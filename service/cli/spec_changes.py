"""Changes of an experiment on the command line: `--set budget.candidates=50`."""

from __future__ import annotations

from typing import Any

from search_spaces.errors import SpaceError
from search_spaces.recipes.strict_yaml import load_yaml
from service.cli.exits import Exit
from service.cli.terminal.output import CommandError


def apply_change(content: dict[str, Any], change: str) -> None:
    """Sets one value: `budget.candidates=50`, `objectives.0.weight=2`.

    Raises:
        CommandError: There is no such place, or the value is no YAML.
    """
    key, equals, text = change.partition("=")
    if not equals or not key:
        raise CommandError(f"--set {change!r} sets nothing", "write --set key=value", code=Exit.USAGE)
    try:
        value = load_yaml(text)
    except SpaceError as error:
        raise CommandError(f"--set {change!r}: {error}", code=Exit.USAGE) from error
    *path, last = key.split(".")
    place: Any = content
    for part in path:
        place = place.setdefault(part, {}) if isinstance(place, dict) else _item(place, part, change)
    if isinstance(place, dict):
        place[last] = value
    else:
        _item(place, last, change)
        place[int(last)] = value


def _item(place: object, part: str, change: str) -> Any:  # noqa: ANN401 - YAML holds anything
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return place[int(part)]
    hint = "use the keys of the file, joined by dots; positions in lists begin at 0"
    raise CommandError(f"--set {change!r}: there is no {part!r}", hint, code=Exit.USAGE)
