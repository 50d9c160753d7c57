"""`evomerge config show`: the settings that are in force here, or an experiment's spec."""

from __future__ import annotations

import json
import os
from typing import Annotated, Literal

import typer

from service.cli.chosen_settings import settings_from
from service.cli.completion import names_that_begin
from service.cli.connection import JsonOption, Place, finds_experiments
from service.cli.reaching import connect
from service.cli.terminal.output import clean, data_console, say
from service.cli.terminal.tables import plain_table

config = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Show the settings that are in force here, or an experiment's spec.",
)


@config.callback()
def _several() -> None:
    """Has the one command keep its name."""


@config.command("show")
@finds_experiments
def show(
    place: Place,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="An experiment, whose spec is written as YAML that `evomerge run` takes.",
            show_default=False,
            autocompletion=names_that_begin,
        ),
    ] = None,
    form: Annotated[
        Literal["short", "resolved"], typer.Option(help="Of a spec: with every default, or without.")
    ] = "short",
    as_json: JsonOption = False,
) -> None:
    """Show every setting, its value and where it comes from; with a NAME the experiment's spec."""
    if name is not None:
        with connect(place) as client:
            text = client.config(name, form) if not as_json else json.dumps(client.experiment(name).spec)
        say(text.rstrip())
        return
    told = settings_from(home=place.home).told()
    rows = [(key, value, "environment" if key in os.environ else "default") for key, value in told]
    if as_json:
        say(json.dumps({key: {"value": value, "from": source} for key, value, source in rows}))
        return
    table = plain_table("SETTING", "VALUE", "FROM")
    for key, value, source in rows:
        table.add_row(key, clean(value), source)
    data_console().print(table)
