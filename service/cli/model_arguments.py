"""What commands are told to work on: a recipe's file, or models by name."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from search_spaces import Parent, Recipe
from search_spaces.errors import RecipeFileError, SpaceError
from search_spaces.recipes.mergekit.problems import Notice
from search_spaces.recipes.mergekit.recipe_file import NamedMerge, read_merges
from search_spaces.recipes.renamed_parents import with_parents
from search_spaces.recipes.strict_yaml import LARGEST_TEXT
from service.cli.exits import Exit
from service.cli.spec_file import with_absolute_path
from service.cli.terminal.output import CommandError, note


def recipe_in(path: Path, *, strict: bool = False) -> Recipe:
    """Returns the one recipe in a file; relative paths in it are taken from its folder.

    Raises:
        CommandError: The file cannot be read, has mistakes or several recipes.
    """
    merges = merges_in(path, strict=strict)
    if len(merges) > 1:
        hint = "carry it out with `evomerge merge`, or keep one recipe in the file"
        raise CommandError(f"{path} holds {len(merges)} recipes", hint, code=Exit.INVALID)
    return merges[0].recipe


def merges_in(path: Path, *, strict: bool = False) -> tuple[NamedMerge, ...]:
    """Returns the recipes in a file, each after those whose models it takes.

    What is not read is told on stderr.  Relative paths are taken from the file's folder.

    Raises:
        CommandError: The file cannot be read or has mistakes; if `strict`, what is not read is one.
    """
    notices: list[Notice] = []
    try:
        merges = read_merges(_text_of(path), notices)
    except RecipeFileError as error:
        listed = "\n".join(f"  {problem.placed}" for problem in error.problems)
        raise CommandError(f"{path} has mistakes:\n{listed}", code=Exit.INVALID) from error
    except SpaceError as error:
        raise CommandError(f"{path}: {error}", code=Exit.INVALID) from error
    if notices and strict:
        listed = "\n".join(f"  {notice}" for notice in notices)
        hint = "mend the file, or leave --strict out"
        raise CommandError(f"{path} has parts that are not read:\n{listed}", hint, code=Exit.INVALID)
    for notice in notices:
        note(f"Warning: {path}, {notice}")
    folder = path.absolute().parent
    names = {merge.name for merge in merges}
    return tuple(
        replace(merge, recipe=with_parents(merge.recipe, partial(_here, folder, names))) for merge in merges
    )


def _here(folder: Path, names: set[str | None], parent: Parent) -> Parent:
    """Returns a parent with absolute paths; one that a merge of the same file makes stays a name."""
    if parent.model not in names:
        return with_absolute_path(parent, folder)
    adapter = parent.adapter_as_parent
    if adapter is None:
        return parent
    found = with_absolute_path(adapter, folder)
    return parent.model_copy(update={"adapter": found.model, "adapter_revision": found.revision})


def parent_named(text: str) -> Parent:
    """Returns the parent that a word names: a folder here, or `org/name`, with `@revision` or `+adapter`.

    Raises:
        CommandError: It names none.
    """
    if Path(text).expanduser().is_dir():
        return Parent(model=str(Path(text).expanduser().absolute()))
    try:
        return Parent.model_validate(text)
    except ValidationError as error:
        remedy = "name a folder, org/name or org/name@revision"
        raise CommandError(f"{text!r}: {error.errors()[0]['msg']}", remedy, code=Exit.INVALID) from error


def _text_of(path: Path) -> str:
    """Reads a text of bounded size: a device might never end."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_TEXT + 1)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", "check the path", code=Exit.INVALID) from error
    if len(content) > LARGEST_TEXT:
        detail = f"{path} has more than {LARGEST_TEXT} bytes, which no recipe needs"
        raise CommandError(detail, "check the path", code=Exit.INVALID)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: no UTF-8 text", "save it as UTF-8", code=Exit.INVALID) from error
