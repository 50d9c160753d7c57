"""What commands are told to work on: a recipe's file, or models by name."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from search_spaces import Parent, Recipe
from search_spaces.errors import RecipeFileError, SpaceError
from search_spaces.recipes.mergekit_yaml import read_recipe
from search_spaces.recipes.strict_yaml import LARGEST_TEXT
from service.cli.output import CommandError, Exit
from service.cli.spec_file import with_absolute_parents


def recipe_in(path: Path) -> Recipe:
    """Returns the recipe in a file; relative paths in it are taken from its folder.

    Raises:
        CommandError: The file cannot be read, or has mistakes.
    """
    try:
        recipe = read_recipe(_text_of(path))
    except RecipeFileError as error:
        listed = "\n".join(f"  {problem}" for problem in error.problems)
        raise CommandError(f"{path} has mistakes:\n{listed}", code=Exit.INVALID) from error
    except SpaceError as error:
        raise CommandError(f"{path}: {error}", code=Exit.INVALID) from error
    return with_absolute_parents(recipe, path.absolute().parent)


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
