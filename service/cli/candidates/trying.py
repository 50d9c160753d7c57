"""`evomerge try`: a prompt is put to a candidate and its parents."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

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


@finds_experiments
def try_candidate(
    name: NameArgument,
    candidate: CandidateArgument,
    place: Place,
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="What to ask; `-` reads it.")],
    system: Annotated[str | None, typer.Option(help="A system message.")] = None,
    chat: Annotated[
        Literal["auto", "on", "off"], typer.Option(help="Put it as a message of a chat.")
    ] = "auto",
    parents: Annotated[bool, typer.Option("--parents/--no-parents", help="Ask the parents as well.")] = True,
    max_tokens: Annotated[int, typer.Option(min=1, max=1024, help="The longest answer.")] = 128,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the likeliest tokens.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Put a prompt to a candidate and its parents, and compare the answers.

    A worker merges the candidate beside the searches; nothing is stored.
    """
    text = sys.stdin.read() if prompt == "-" else prompt
    with reach(place, Need.CHECK) as (client, _), still("loading the parents and asking"):
        found = client.try_candidate(
            name,
            numbered(client, name, candidate),
            text,
            system=system,
            chat=chat,
            parents=parents,
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
        )
    if as_json:
        say_json(found)
        return
    for each in found.items:
        say(f"{clean(each.label)} ({each.tokens} tokens{', cut off' if each.cut_off else ''}):")
        say(clean(each.text).strip() + "\n")
