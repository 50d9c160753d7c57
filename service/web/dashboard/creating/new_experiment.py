"""A new experiment: its text, examples to begin with, and what is wrong with it while it is typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

import yaml
from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from search_spaces.recipes.strict_yaml import Dumper
from service.errors import NotFoundError
from service.experiment.spec import ExperimentSpec
from service.store.models import ExperimentRow
from service.web.dashboard.creating.spec_text import ReadText, read_text
from service.web.dashboard.rendering import Wanted, missing, render
from service.web.dependencies import Reading

LONGEST_TEXT = 200_000  # characters
router = APIRouter(prefix="/new", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Example:
    """A text to begin with; its first comment says what it is."""

    name: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class NewContext:
    """The page of a new experiment.

    Attributes:
        text: What the editor holds at first.
        origin: The experiment that it was cloned from.
    """

    text: str
    examples: Sequence[Example]
    origin: str | None
    twin: str = "/api/v1/experiments"


class Typed(BaseModel):
    """What the editor holds."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=LONGEST_TEXT)]


@cache
def examples() -> tuple[Example, ...]:
    """Returns the texts to begin with, in the order of their files' names."""
    found = sorted(files(__package__).joinpath("gallery").iterdir(), key=lambda path: path.name)
    texts = [(path.name, path.read_text(encoding="utf-8")) for path in found if path.name.endswith(".yml")]
    return tuple(
        Example(name.removesuffix(".yml"), text.partition("\n")[0].lstrip("# "), text) for name, text in texts
    )


@router.get("")
def new(repository: Reading, wanted: Wanted) -> HTMLResponse:
    """Shows the editor with the first example, or with the spec of the experiment in `from`."""
    source = wanted.get("from")
    if source is None:
        return render("new.html", NewContext(examples()[0].text, examples(), None))
    try:
        row = repository.experiment(source)
    except NotFoundError as error:
        return missing(error)
    return render("new.html", NewContext(cloned(row), examples(), row.name))


@router.post("/read")
def read(typed: Typed) -> ReadText:
    """Says what a text holds and what is wrong with it by itself."""
    return read_text(typed.text)


def cloned(row: ExperimentRow) -> str:
    """Returns an experiment's spec as YAML, under another name and without what it leaves to the defaults."""
    spec = ExperimentSpec.model_validate(row.spec).model_dump(mode="json", exclude_defaults=True)
    content: dict[str, Any] = {"name": f"{row.name}-again"} | {k: v for k, v in spec.items() if k != "name"}
    body = yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
    return f"# Cloned from {row.name!r}; what it does not say is as the defaults have it.\n{body}"
