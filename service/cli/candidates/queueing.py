"""Commands that put recipes into a search's queue: enqueue, retry, reevaluate; and what waits there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from service.cli.connection import (
    CandidateArgument,
    JsonOption,
    NameArgument,
    Place,
    finds_experiments,
    numbered,
)
from service.cli.exits import Exit
from service.cli.reaching import connect, reach
from service.cli.terminal.output import CommandError, clean, data_console, note, say_json
from service.cli.terminal.tables import plain_table
from service.reports.search_views import EnqueuedView


@finds_experiments
def enqueue(
    name: NameArgument,
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.yml|-", help="mergekit's YAML; `-` reads it.")],
    place: Place,
    label: Annotated[str | None, typer.Option(help="What it is to be called.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Have a search try a recipe of your own in the place of its next candidate.

    It counts towards the budget, is scored like every candidate, and the optimizer learns of it.
    """
    text = _read(recipe)
    with reach(place) as (client, own):
        _say(
            client.enqueue(name, text, label=label or recipe.stem.strip("-") or None),
            own=own,
            as_json=as_json,
        )


@finds_experiments
def retry(
    name: NameArgument, candidate: CandidateArgument, place: Place, as_json: JsonOption = False
) -> None:
    """Have a search try a failed candidate again, as another one of its candidates."""
    with reach(place) as (client, own):
        _say(client.retry(name, numbered(client, name, candidate)), own=own, as_json=as_json)


@finds_experiments
def reevaluate(
    name: NameArgument, candidate: CandidateArgument, place: Place, as_json: JsonOption = False
) -> None:
    """Have a candidate's recipe asked every item anew, as another candidate; the old scores stay."""
    with reach(place) as (client, own):
        _say(client.reevaluate(name, numbered(client, name, candidate)), own=own, as_json=as_json)


@finds_experiments
def queue(name: NameArgument, place: Place, as_json: JsonOption = False) -> None:
    """List the recipes that were put into a search's queue, and which candidates they became."""
    with connect(place) as client:
        found = client.queue(name)
    if as_json:
        say_json(found)
        return
    if not found.items:
        note("The queue is empty; `evomerge enqueue NAME RECIPE.yml` puts a recipe into it.")
        return
    table = plain_table("CANDIDATE", "LABEL", "MADE BY", "OF")
    for each in found.items:
        number = "waits" if each.candidate is None else str(each.candidate)
        table.add_row(number, clean(each.label or "–"), each.made_by.value, str(each.ancestor or "–"))
    data_console().print(table)


def _read(path: Path) -> str:
    """Returns a recipe's text.

    Raises:
        CommandError: It cannot be read.
    """
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise CommandError(f"{path}: {said}", "name a file with mergekit's YAML", code=Exit.USAGE) from error


def _say(view: EnqueuedView, *, own: bool, as_json: bool) -> None:
    if as_json:
        say_json(view)
    note(f"{clean(view.label or 'the recipe')} waits to become a candidate")
    if own:
        note("No service is running: it is carried out by the next `evomerge serve` or `evomerge run`.")
