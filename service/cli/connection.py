"""The options by which commands find experiments: in a service, or in a folder of this machine."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from evaluators import Split
from service.cli.completion import names_that_begin, winner_that_begins
from service.cli.exits import Exit
from service.cli.terminal.output import CommandError

ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="The service to ask; by default EVOMERGE_URL, or the one on this machine.",
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
HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="FOLDER",
        help="The folder of the experiments, where no service runs; EVOMERGE_HOME sets it, too.",
        show_default="evomerge-runs",
    ),
]
NameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The experiment's name or id.", autocompletion=names_that_begin),
]
CandidateArgument = Annotated[
    str,
    typer.Argument(
        metavar="N|winner", help="A candidate's number, or `winner`.", autocompletion=winner_that_begins
    ),
]
SplitOption = Annotated[Split, typer.Option("--split", help="The items whose scores are meant.")]
FilterOption = Annotated[
    str | None,
    typer.Option("--filter", metavar="TEXT", help="Only those, as 'status = failed AND number > 20'."),
]
OrderOption = Annotated[
    str | None, typer.Option("--order-by", metavar="FIELD", help="As 'objectives.gsm8k desc'.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")]

if TYPE_CHECKING:
    from service.client.client import Client

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command is to find experiments, as far as its options say."""

    server: str | None = None
    api_key: str | None = None
    home: Path | None = None

    @property
    def named_url(self) -> str | None:
        """The service that must be asked; a folder that is named goes before one of the environment."""
        return self.server or (None if self.home else os.environ.get("EVOMERGE_URL"))


def finds_experiments(function: F) -> F:
    """Gives a command the options --home, --server and --api-key; its parameter `place` takes them."""
    signature = inspect.signature(function, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "place"]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in (("home", HomeOption), ("server", ServerOption), ("api_key", KeyOption))
    ]

    @wraps(function)
    def command(
        *arguments: Any,  # noqa: ANN401 - the command's own
        home: Path | None = None,
        server: str | None = None,
        api_key: str | None = None,
        **own_options: Any,  # noqa: ANN401 - the command's own
    ) -> Any:  # noqa: ANN401 - the command's own
        if home is not None and server is not None:
            hint = "leave one out: a service has its own folder"
            raise CommandError("--home and --server name two places", hint, code=Exit.USAGE)
        return function(*arguments, place=Place(server, api_key, home), **own_options)

    parameters = [*own, *options]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command  # type: ignore[return-value]


def numbered(client: Client, name: str, text: str) -> int:
    """Returns the number of the candidate that a word of the command line means.

    Raises:
        BadParameter: It is neither a number nor `winner`.
        CommandError: There is no winner yet.
    """
    wanted = number_or_winner(text)
    if isinstance(wanted, int):
        return wanted
    winner = client.experiment(name).winner
    if winner is None:
        hint = f"name a candidate's number: `evomerge candidates {name}` lists them"
        raise CommandError(f"{name} has no winner yet", hint, code=Exit.CONFLICT)
    return winner.number


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
