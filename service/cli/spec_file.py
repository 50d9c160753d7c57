"""Reads an experiment from a YAML file: plain data, with paths that mean the same elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from search_spaces import Parent, Recipe
from search_spaces.errors import RecipeFileError, SpaceError
from search_spaces.recipes.mergekit.problems import Notice
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe, write_recipe
from search_spaces.recipes.parent import is_path
from search_spaces.recipes.renamed_parents import with_parents
from search_spaces.recipes.strict_yaml import Loader, load_yaml
from service.cli.evolve_flags import EvolveFlags
from service.cli.exits import Exit
from service.cli.spec_changes import apply_change
from service.cli.terminal.output import CommandError, note
from service.errors import Mistake
from service.specification.other_tools import (
    Translation,
    UntranslatableError,
    translate,
    with_small_population,
)
from service.specification.reading import not_json, pointer_to, read_spec
from service.specification.template_files import with_template_files

RECIPE_ENDINGS = (".yml", ".yaml")


@dataclass(frozen=True, slots=True)
class SpecFile:
    """An experiment's file.

    Attributes:
        content: What it says, with absolute paths.
        root: Its YAML, to find the lines of mistakes.
        translation: Where the file is another tool's: how it was read.
        changes: The options of the command line, by the place that each set.
    """

    path: Path
    content: dict[str, Any]
    root: yaml.Node
    translation: Translation | None = None
    changes: Mapping[str, str] = field(default_factory=dict)

    def place(self, pointer: str) -> str:
        """Returns file and line of what a JSON pointer points to, or the option that set it."""
        for changed, text in self.changes.items():
            if pointer == changed or pointer.startswith(f"{changed}/"):
                return text
        pointer = self.origin_of(pointer)
        parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        return f"{self.path}:{_line(self.root, parts)}"

    def origin_of(self, pointer: str) -> str:
        """Returns the place of the file that a place of the spec was read from."""
        return pointer if self.translation is None else self.translation.origin_of(pointer)

    def explain(self, mistakes: Sequence[Mistake]) -> str:
        """Returns the mistakes, each with its line."""
        lines = [f"{self.path} has {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}:"]
        for mistake in mistakes:
            pointer = self.origin_of(mistake.pointer) or "/"
            lines.append(f"  {self.place(mistake.pointer)}: {pointer}: {mistake.detail}")
            if mistake.remedy:
                lines.append(f"      {mistake.remedy}")
        return "\n".join(lines)


def read_spec_file(
    path: Path,
    changes: Sequence[str] = (),
    *,
    name: str | None = None,
    flags: EvolveFlags | None = None,
    strict: bool = False,
) -> SpecFile:
    """Returns what a file says, changed by `key=value` texts; without a name it takes the file's.

    Files of mergekit-evolve and mergenetic are read as the experiments that they describe.

    Raises:
        CommandError: The file cannot be read, is no YAML, holds NaN or infinity, or a change has no
            place; `strict`: it is another tool's, and says something in vain.
    """
    content, root = _read(path)
    flags, folder = flags or EvolveFlags(), path.absolute().parent
    translation = _translated(SpecFile(path, content, root), flags, strict=strict)
    if translation is not None:
        content = dict(translation.content)
        folder = _folder_of(content, folder)
    changes = (*flags.changes(genome_file=translation is not None), *changes)
    for change in changes:
        apply_change(content, change)
    if translation is not None:
        content = with_small_population(content)
    content["name"] = content.get("name", path.stem) if name is None else name
    places = {pointer_to(*change.partition("=")[0].split(".")): f"--set {change}" for change in changes}
    if name is not None:
        places["/name"] = f"--name {name}"
    spec = SpecFile(path, with_absolute_paths(content, folder), root, translation, places)
    if any(not_json(spec.content)):  # no request can say it, so it is told here, with all else
        raise CommandError(spec.explain(read_spec(spec.content)[1]), code=Exit.INVALID)
    return spec


def _read(path: Path) -> tuple[dict[str, Any], yaml.Node]:
    """Returns a file's mapping, and its YAML.

    Raises:
        CommandError: It cannot be read, or holds none.
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
    return content, root


def _translated(file: SpecFile, flags: EvolveFlags, *, strict: bool) -> Translation | None:
    """Reads another tool's file, and says how; None where it is one of ours.

    Raises:
        CommandError: It has mistakes, or, `strict`, keys that its tool ignores in silence.
    """
    try:
        found = translate(file.content, allow_benchmarks=flags.allows_benchmarks)
    except UntranslatableError as error:
        raise CommandError(file.explain(error.mistakes), code=Exit.INVALID) from error
    for remark in () if found is None else found.remarks:
        if not (strict and remark.is_ignored_key):
            warning = "Warning: " if remark.is_warning else ""
            note(f"{file.place(remark.pointer)}: {warning}{remark.text}")
    ignored = [r for r in found.remarks if r.is_ignored_key] if found is not None and strict else []
    if ignored:
        mistakes = [Mistake(r.pointer, "unknown_key", r.text, "leave it out") for r in ignored]
        raise CommandError(file.explain(mistakes), code=Exit.INVALID)
    return found


def _folder_of(content: Mapping[str, Any], beside: Path) -> Path:
    """Returns what another tool's relative paths are meant from: where it is called, if they lie there."""
    here = Path.cwd()
    named = [*content["parents"], *([content["base"]] if "base" in content else [])]
    models = [one["model"] if isinstance(one, dict) else one for one in named]
    return here if any(_absolute(model, here).is_dir() for model in models) else beside


def with_absolute_paths(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Returns the content with paths resolved against the file's folder; Hub names stay as they are."""
    found = dict(content)
    if isinstance(parents := found.get("parents"), list):
        found["parents"] = [_parent(parent, folder) for parent in parents]
    for key in ("base", "vision"):
        if key in found and found[key] != "search":
            found[key] = _parent(found[key], folder)
    match found.get("tasks_path"):
        case str(tasks):
            found["tasks_path"] = str(_absolute(tasks, folder))
        case list(listed):
            found["tasks_path"] = [str(_absolute(t, folder)) if isinstance(t, str) else t for t in listed]
    if isinstance(space := found.get("space"), dict):
        found["space"] = _stacks(space, folder)
    baselines = found.get("baselines")
    if isinstance(baselines, dict) and isinstance(recipes := baselines.get("recipes"), dict):
        read = {name: _recipe(text, folder) for name, text in recipes.items()}
        found["baselines"] = baselines | {"recipes": read}
    return with_template_files(found, lambda name: str(_absolute(name, folder)))


def _stacks(space: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Reads what a space of stacked layers names: the winner's file, and parents."""
    found = dict(space)
    if isinstance(winner := found.get("winner"), str):
        found["winner"] = _recipe(winner, folder)
    if isinstance(listed := found.get("layers_of"), list):
        found["layers_of"] = [_parent(parent, folder) for parent in listed]
    if isinstance(stacking := found.get("stacking"), dict):
        found["stacking"] = _stacks(stacking, folder)
    if (source := found.get("tokenizer_source")) not in (None, "base", "union"):
        found["tokenizer_source"] = _parent(source, folder)
    return found


def _absolute(text: str, folder: Path) -> Path:
    path = Path(text).expanduser()
    return path if path.is_absolute() else Path(folder, path).resolve()


def _parent(parent: Any, folder: Path) -> Any:  # noqa: ANN401 - the service says what is wrong with it
    if isinstance(parent, dict) and isinstance(parent.get("model"), str):
        return parent | {key: _parent(parent[key], folder) for key in ("model", "adapter") if parent.get(key)}
    if not isinstance(parent, str) or not parent:  # an empty one would be the folder itself
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
