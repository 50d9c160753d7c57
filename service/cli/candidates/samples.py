"""`evomerge samples`: what a candidate answers to single items."""

from __future__ import annotations

from typing import Annotated

import typer

from evaluators import Split
from service.cli.connection import (
    CandidateArgument,
    JsonOption,
    NameArgument,
    Place,
    finds_experiments,
    numbered,
)
from service.cli.reaching import Need, reach
from service.cli.terminal.output import clean, say, say_json
from service.cli.terminal.still import still
from service.reports.listings.answer_views import SampleView


@finds_experiments
def samples(
    name: NameArgument,
    candidate: CandidateArgument,
    place: Place,
    split: Annotated[Split | None, typer.Option("--split", help="Have items of this split answered.")] = None,
    count: Annotated[int, typer.Option(min=1, max=20, help="Items of each objective.")] = 4,
    stored: Annotated[bool, typer.Option("--stored", help="Show what is stored, and ask nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show prompts as a candidate saw them, and what it answered.

    What was asked before is stored; where nothing is, or --split says which items, a worker merges the
    candidate and asks it.
    """
    with reach(place, Need.CHECK) as (client, _), still("loading the parents and asking"):
        number = numbered(client, name, candidate)
        found = client.samples(name, number)
        if not stored and (split is not None or not found.items):
            found = client.ask_samples(name, number, split=split or "search", count=count)
    if as_json:
        say_json(found)
        return
    for each in found.items:
        say(_told(each))


def _told(each: SampleView) -> str:
    value = "" if each.value is None else f", {each.value:g}"
    head = f"── {clean(each.benchmark)}, {each.split} item {each.item}{value}"
    answer = f"→ {clean(each.text).strip()}   (right: {clean(each.target).strip()})"
    return f"{head}\n{clean(each.prompt).strip()}\n{answer}\n"
