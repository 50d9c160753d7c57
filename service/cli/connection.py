"""The options by which commands find a service."""

from __future__ import annotations

from typing import Annotated

import typer

from service.client.client import Client

ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar="EVOMERGE_URL",
        metavar="URL",
        help="The service to ask; by default the one on this machine.",
        show_default=False,
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="EVOMERGE_API_KEY",
        metavar="KEY",
        help="The service's key; better set in the environment than written here.",
        show_default=False,
        show_envvar=True,
    ),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The experiment's name or id.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")]


def connect(server: str | None, api_key: str | None) -> Client:
    """Returns a client of the service that the options name."""
    return Client(server, api_key)


def number_or_winner(text: str) -> int | str:
    """Returns the candidate that a word of the command line means.

    Raises:
        BadParameter: It is neither a number nor `winner`.
    """
    if text == "winner":
        return text
    if not text.isdecimal():
        raise typer.BadParameter(f"{text!r} is neither a candidate's number nor `winner`")
    return int(text)
