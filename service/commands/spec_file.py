"""Reads an experiment from a YAML file: plain data, with paths that mean the same elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from search_spaces import Parent, Recipe
from search_spaces.errors import RecipeFileError, SpaceError
from search_spaces.mergekit_yaml import read_recipe, write_recipe
from search_spaces.parent import is_path
from search_spaces.problems import Notice
from search_spaces.renamed_parents import with_parents
from search_spaces.strict_yaml import Loader, load_yaml
from service.commands.output import CommandError, Exit, note
from service.errors import Mistake

RECIPE_ENDINGS = (".yml", ".yaml")


@dataclass(frozen=True, slots=True)
class SpecFile:
    """An experiment's file.

    Attributes:
        content: What it says, with absolute paths.
        root: Its YAML, to find the lines of mistakes.
    """

    path: Path
    content: dict[str, Any]
    root: yaml.Node

    def place(self, pointer: str) -> str:
        """Returns file and line of what a JSON pointer points to, or of what it should be in."""
        parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        return f"{self.path}:{_line(self.root, parts)}"

    def explain(self, mistakes: Sequence[Mistake]) -> str:
        """Returns the mistakes, each with its line."""
        lines = [f"{self.path} has {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}:"]
        for mistake in mistakes:
            lines.append(f"  {self.place(mistake.pointer)}: {mistake.pointer or '/'}: {mistake.detail}")
            if mistake.hint:
                lines.append(f"      {mistake.hint}")
        return "\n".join(lines)


def read_spec_file(path: Path, changes: Sequence[str] = (), *, name: str | None = None) -> SpecFile:
    """Returns what a file says, changed by `key=value` texts; without a name it takes the file's.

    Raises:
        CommandError: The file cannot be read, is no YAML, or a change has no place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", "check the path", code=Exit.INVALID) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8 text", "save it as UTF-8", code=Exit.INVALID) from error
    try:
        content, root = load_yaml(text), Loader(text).get_single_node()
    except RecipeFileError as error:
        listed = "; ".join(str(problem) for problem in error.problems)
        raise CommandError(f"{path}: {listed}", code=Exit.INVALID) from error
    if not isinstance(content, dict) or root is None:
        hint = "an experiment is a mapping: name, parents, objectives, budget ..."
        raise CommandError(f"{path} holds no experiment", hint, code=Exit.INVALID)
    for change in changes:
        apply_change(content, change)
    content["name"] = name or content.get("name") or path.stem
    return SpecFile(path, with_absolute_paths(content, path.absolute().parent), root)


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


def with_absolute_paths(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Returns the content with paths resolved against the file's folder; Hub names stay as they are."""
    found = dict(content)
    if isinstance(parents := found.get("parents"), list):
        found["parents"] = [_parent(parent, folder) for parent in parents]
    if "base" in found:
        found["base"] = _parent(found["base"], folder)
    if isinstance(tasks := found.get("tasks_path"), str):
        found["tasks_path"] = str(_absolute(tasks, folder))
    if isinstance(space := found.get("space"), dict):
        found["space"] = _stacks(space, folder)
    baselines = found.get("baselines")
    if isinstance(baselines, dict) and isinstance(recipes := baselines.get("recipes"), dict):
        read = {name: _recipe(text, folder) for name, text in recipes.items()}
        found["baselines"] = baselines | {"recipes": read}
    return found


def _stacks(space: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Reads what a space of stacked layers names: the winner's file, and parents."""
    found = dict(space)
    if isinstance(winner := found.get("winner"), str):
        found["winner"] = _recipe(winner, folder)
    if isinstance(listed := found.get("layers_of"), list):
        found["layers_of"] = [_parent(parent, folder) for parent in listed]
    if isinstance(stacking := found.get("stacking"), dict):
        found["stacking"] = _stacks(stacking, folder)
    return found


def _absolute(text: str, folder: Path) -> Path:
    path = Path(text).expanduser()
    return path if path.is_absolute() else Path(folder, path).resolve()


def _parent(parent: Any, folder: Path) -> Any:  # noqa: ANN401 - the service says what is wrong with it
    if isinstance(parent, dict) and isinstance(parent.get("model"), str):
        return parent | {key: _parent(parent[key], folder) for key in ("model", "adapter") if parent.get(key)}
    if not isinstance(parent, str):
        return parent
    if _absolute(parent, folder).is_dir():
        return str(_absolute(parent, folder))
    divided = _divided(parent, folder)
    if divided is not None:
        return str(Parent.model_validate(_parent(divided, folder)))
    return str(_absolute(parent, folder)) if parent.startswith((".", "~")) else parent


def _divided(text: str, folder: Path) -> dict[str, str | None] | None:
    """Returns the parts of `model+adapter`; None where there is no adapter, or the text is no reference.

    A path is divided as mergekit divides it where the whole names no folder and its first part does.
    """
    try:
        parent = Parent.model_validate(text)
    except ValidationError:
        return None
    if parent.adapter is None and is_path(parent.model) and ("+" in text or "@" in text):
        model, _, adapter = text.partition("+")
        model = model if _absolute(model, folder).is_dir() else model.partition("@")[0]
        name, _, revision = adapter.partition("@")
        if _absolute(model, folder).is_dir():
            revisions = {"adapter_revision": revision or None} if name else {}
            return {"model": model, "adapter": name or None, **revisions}
    return dict(parent) if parent.adapter is not None else None


def _recipe(text: Any, folder: Path) -> Any:  # noqa: ANN401 - the service says what is wrong with it
    """Returns a recipe's text; a file's name stands for its content, paths resolved against its folder."""
    if not (isinstance(text, str) and "\n" not in text and text.endswith(RECIPE_ENDINGS)):
        return text
    path = _absolute(text, folder)
    try:
        notices: list[Notice] = []
        recipe = read_recipe(path.read_text(encoding="utf-8"), notices)
        for notice in notices:
            note(f"Warning: {path}: {notice}")
        return write_recipe(with_absolute_parents(recipe, path.parent))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", "check the path", code=Exit.INVALID) from error
    except SpaceError as error:
        raise CommandError(f"{path}: {error}", code=Exit.INVALID) from error


def with_absolute_parents(recipe: Recipe, folder: Path) -> Recipe:
    """Returns the recipe with its parents' relative paths resolved against a folder."""
    return with_parents(recipe, lambda parent: with_absolute_path(parent, folder))


def with_absolute_path(parent: Parent, folder: Path) -> Parent:
    """Returns a parent, its relative paths resolved against a folder."""
    return Parent.model_validate(_parent(str(parent), folder))


def _line(node: yaml.Node, parts: Sequence[str]) -> int:
    for part in parts:
        child = _child(node, part)
        if child is None:
            break
        node = child
    return int(node.start_mark.line) + 1


def _child(node: yaml.Node, part: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        # A key's own line: a value that is a block begins on the line below it.
        return next((_at_key(key, value) for key, value in node.value if str(key.value) == part), None)
    if isinstance(node, yaml.SequenceNode) and part.isdecimal() and int(part) < len(node.value):
        found: yaml.Node = node.value[int(part)]
        return found
    return None


def _at_key(key: yaml.Node, value: yaml.Node) -> yaml.Node:
    value.start_mark = key.start_mark
    return value
