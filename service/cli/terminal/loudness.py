"""How much a command says beside what it was asked for: -q and -v, before or after the command's name."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

import typer

QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Say nothing but errors: no progress, no remarks.", show_default=False
    ),
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Say more: where experiments are looked for, and a service's log.",
        show_default=False,
    ),
]


@dataclass(slots=True)
class Loudness:
    """How much this process says on stderr; all threads of a command share it.

    Attributes:
        is_quiet: Errors alone are told.
        is_verbose: It is told, too, where experiments are looked for, and what a service that the command
            started notes.
    """

    is_quiet: bool = False
    is_verbose: bool = False

    @property
    def log_level(self) -> str | None:
        """What the log of a service in this process tells; None leaves it to the settings."""
        return "error" if self.is_quiet else "debug" if self.is_verbose else None

    @property
    def log_level_within(self) -> str | None:
        """The same for a service that a command has for itself: it tells no more than what went wrong."""
        return self.log_level or (None if "EVOMERGE_LOG_LEVEL" in os.environ else "warning")

    def reset(self) -> None:
        """Says the usual again: a test's process calls many commands."""
        self.is_quiet = self.is_verbose = False

    def heed(self, *, quiet: bool, verbose: bool) -> None:
        """Takes what the options say; what was said before the command's name stays."""
        self.is_quiet |= quiet
        self.is_verbose |= verbose


LOUDNESS = Loudness()


def with_loudness(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options -q and -v."""
    signature = inspect.signature(function, eval_str=True)

    @wraps(function)
    def command(*arguments: Any, quiet: bool = False, verbose: bool = False, **options: Any) -> Any:  # noqa: ANN401 - the command's own
        LOUDNESS.heed(quiet=quiet, verbose=verbose)
        return function(*arguments, **options)

    switches = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in (("quiet", QuietOption), ("verbose", VerboseOption))
    ]
    parameters = [*signature.parameters.values(), *switches]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def has_loudness(function: Callable[..., Any]) -> bool:
    """Says whether a command has the options already."""
    return "quiet" in inspect.signature(function).parameters
