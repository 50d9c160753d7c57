"""Command: `evomerge`, called in the test's own process."""

from __future__ import annotations

from typer.testing import CliRunner

from service.cli.exits import Exit
from service.cli.program import app


class Command:
    """Calls `evomerge` in this process."""

    def __init__(self, url: str | None) -> None:
        self.environment = {"EVOMERGE_URL": url, "EVOMERGE_API_KEY": None, "COLUMNS": "200"}

    def __call__(self, *arguments: object, code: int | None = Exit.OK) -> str:
        """Returns stdout; with another code expected, stderr; with None any other."""
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=self.environment)
        right = bool(result.exit_code) if code is None else result.exit_code == code
        assert right, f"{result.exit_code}: {result.output} {result.exception!r}"
        return result.stdout if code == Exit.OK else result.stderr

    def notes(self, *arguments: object) -> str:
        """Returns stderr of a command that succeeds."""
        return CliRunner().invoke(app, [str(a) for a in arguments], env=self.environment).stderr
