"""What commands say: data on stdout, everything else on stderr; how they end, by exit code."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from service.cli.exits import Exit
from service.cli.terminal.loudness import LOUDNESS
from service.client.errors import ApiError, ClientError, ServerUnreachableError, SlowAnswerError
from workers.errors import (
    CheckpointError,
    DataError,
    FolderTakenError,
    MismatchError,
    TaskError,
    WorkerError,
)

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

# Escape sequences and text that runs backwards come from other people's names and errors.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


WIDE = 240  # characters


_BY_STATUS = {401: Exit.UNAUTHORIZED, 403: Exit.UNAUTHORIZED, 404: Exit.NOT_FOUND, 409: Exit.CONFLICT}
_INVALID = frozenset({400, 413, 422})


class CommandError(ClientError):
    """Something a command cannot do, with the exit code it ends with."""

    def __init__(self, message: str, hint: str = "", *, code: Exit = Exit.FAILED) -> None:
        super().__init__(message, hint)
        self.code = code


def data_console() -> Console:
    """Returns the console for what was asked for; what goes into a file or a pipe is not folded."""
    from rich.console import Console  # slow to import; most of what is said needs none

    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDE
    return console


def note_console() -> Console:
    """Returns the console for progress and remarks; in a notebook it is a plain stream, not a widget."""
    from rich.console import Console

    return Console(
        stderr=True,
        markup=False,
        highlight=False,
        emoji=False,
        force_jupyter=False,
        quiet=LOUDNESS.is_quiet,
    )


def say(text: str) -> None:
    """Writes data, as it is, on stdout."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Writes a remark on stderr; nothing where errors alone are wanted."""
    if not LOUDNESS.is_quiet:
        _complain(text)


def detail(text: str) -> None:
    """Writes what is told only where more than usual is wanted."""
    if LOUDNESS.is_verbose:
        _complain(text)


def _complain(text: str) -> None:
    sys.stderr.write(clean(text) + "\n")
    sys.stderr.flush()


def say_json(view: BaseModel) -> None:
    """Writes a view as JSON."""
    say(view.model_dump_json(indent=2))


def say_recipe(text: str, *, as_json: bool) -> None:
    """Writes a recipe's YAML as it is, or as JSON."""
    if not as_json:
        say(text)
        return
    import json

    import yaml

    say(json.dumps(yaml.safe_load(text), indent=2, ensure_ascii=False))


def clean(text: str) -> str:
    """Returns text without characters that would control the terminal."""
    return _CONTROL.sub("�", text)


def exit_code(error: ClientError | WorkerError) -> Exit:
    """Returns the code that a command ends with after an error."""
    if isinstance(error, CommandError):
        return error.code
    if isinstance(error, (ServerUnreachableError, SlowAnswerError)):
        return Exit.UNREACHABLE
    if isinstance(error, DataError):
        return Exit.UNREACHABLE
    if isinstance(error, (CheckpointError, MismatchError, TaskError)):
        return Exit.INVALID
    if isinstance(error, FolderTakenError):
        return Exit.CONFLICT
    if isinstance(error, ApiError):
        return Exit.INVALID if error.status in _INVALID else _BY_STATUS.get(error.status, Exit.FAILED)
    return Exit.FAILED


def report(error: ClientError | WorkerError) -> None:
    """Writes an error and what to do about it; of several mistakes, one per line."""
    mistakes = error.mistakes if isinstance(error, ApiError) else ()
    if mistakes:
        _complain(f"Error: {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}")
        for mistake in mistakes:
            _complain(f"  {mistake}")
        return
    if isinstance(error, WorkerError):
        message, hint = f"{error.field}: {error.detail}", error.remedy
    else:
        message, hint = error.message, error.hint
    _complain(f"Error: {message}")
    if hint:
        _complain(f"       {hint}")
