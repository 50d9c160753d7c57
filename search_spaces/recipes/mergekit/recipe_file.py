"""Files with several recipes, as mergekit-multi reads them: merges with names that feed each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from search_spaces.errors import RecipeError, RecipeFileError, SpaceError
from search_spaces.recipes.mergekit.problems import Notice, kind_of
from search_spaces.recipes.mergekit.reader import RecipeReader
from search_spaces.recipes.recipe import Recipe
from search_spaces.recipes.strict_yaml import Document, load_documents

NAME = "name"
_NOT_IN_A_NAME = ("/", "\\", "@", "+")


@dataclass(frozen=True, slots=True)
class NamedMerge:
    """One recipe of a file.

    Attributes:
        name: What other recipes call the merged model; None where none can.
        takes: The names of the merges whose models it takes as parents.
    """

    name: str | None
    recipe: Recipe
    takes: tuple[str, ...] = ()


def read_merges(text: str, notices: list[Notice] | None = None) -> tuple[NamedMerge, ...]:
    """Returns the recipes of a text, each after those whose models it takes.

    Raises:
        RecipeFileError: A recipe has mistakes, names are no names or stand there twice, or merges take
            each other's models in a circle.
    """
    documents = load_documents(text)
    if len(documents) < 2:
        only = documents[0] if documents else None
        return (NamedMerge(None, RecipeReader(text, notices, document=only).read()),)
    problems: list[SpaceError] = []
    read: list[tuple[str | None, Recipe]] = []
    names = [_name_of(document) for document in documents]
    problems += _name_problems(documents, names)
    for document, name in zip(documents, names, strict=True):
        try:
            read.append((name, RecipeReader(text, notices, document=_without_name(document)).read()))
        except RecipeFileError as error:
            problems += error.problems
    if problems:
        raise RecipeFileError(problems)
    known = {name for name in names if name is not None}
    return _ordered([NamedMerge(name, recipe, _taken(recipe, known)) for name, recipe in read])


def final_merges(merges: Sequence[NamedMerge]) -> tuple[NamedMerge, ...]:
    """Returns the merges whose models no other takes."""
    taken = {name for merge in merges for name in merge.takes}
    return tuple(merge for merge in merges if merge.name not in taken)


def _name_of(document: Document) -> str | None:
    content = document.content
    name = content.get(NAME) if isinstance(content, dict) else None
    return None if name is None else str(name)


def _without_name(document: Document) -> Document:
    if not isinstance(document.content, dict):
        return document
    return replace(document, content={k: v for k, v in document.content.items() if k != NAME})


def _name_problems(documents: Sequence[Document], names: Sequence[str | None]) -> Iterator[SpaceError]:
    for place, (document, name) in enumerate(zip(documents, names, strict=True)):
        problem = None
        if name is None and None in names[:place]:
            detail = "another document without a name"
            problem = RecipeError(NAME, detail, "name all merges but the last, as in `name: first`")
        elif name is not None and (not name.strip(".") or any(sign in name for sign in _NOT_IN_A_NAME)):
            detail = f"{kind_of(name)} is no name of a merge"
            problem = RecipeError(NAME, detail, f"write one without {' '.join(_NOT_IN_A_NAME)}")
        elif name is not None and name in names[:place]:
            problem = RecipeError(NAME, f"two merges are called {name!r:.60}", "rename one of them")
        if problem is not None:
            problem.line = document.lines.get(NAME, document.begin)
            yield problem


def _taken(recipe: Recipe, names: set[str]) -> tuple[str, ...]:
    """Returns which merges' models a recipe takes, with an adapter or without."""
    return tuple(dict.fromkeys(p.model for p in recipe.all_parents if p.model in names))


def _ordered(merges: Sequence[NamedMerge]) -> tuple[NamedMerge, ...]:
    """Returns the merges, each after those that it takes, else in the file's order."""
    waiting, found = list(merges), list[NamedMerge]()
    while waiting:
        made = {merge.name for merge in found}
        ready = next((merge for merge in waiting if made.issuperset(merge.takes)), None)
        if ready is None:
            circle = ", ".join(sorted(str(merge.name) for merge in waiting if merge.name is not None))
            detail = f"the merges {circle} take each other's models in a circle"
            raise RecipeFileError([RecipeError(NAME, detail, "let one of them begin from models alone")])
        waiting.remove(ready)
        found.append(ready)
    return tuple(found)
