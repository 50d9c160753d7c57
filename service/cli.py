"""`evomerge`: the command line.  Speaks REST, so that it does nothing that a program could not do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from service.client import ClientError
from service.commands import checkpoints, doctor, look, server, steer, submit, watch
from service.commands.output import Exit, exit_code, note, report, say


class FriendlyGroup(TyperGroup):
    """Runs commands; an error becomes two lines and an exit code, a traceback only on demand."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - the framework's
        """Runs the chosen command; what it returns is the exit code."""
        try:
            code = super().invoke(ctx)
        except ClientError as error:
            if ctx.params.get("debug"):
                raise
            report(error)
            code = exit_code(error)
        except KeyboardInterrupt:
            note("\nInterrupted.")
            code = Exit.INTERRUPTED
        if code:
            raise typer.Exit(int(code))
        return code


app = typer.Typer(
    cls=FriendlyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Evolve merge recipes of language models.",
    epilog="Begin with `evomerge doctor`, then `evomerge run FILE.yml`.",
)


def _say_version(wanted: bool) -> None:
    if wanted:
        say(f"evomerge {version('evomerge')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", envvar="EVOMERGE_DEBUG", help="Show tracebacks.")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Takes what all commands share."""


COMMANDS: dict[str, tuple[Callable[..., object], tuple[str, ...]]] = {
    "serve": (server.serve, ("evomerge serve", "evomerge serve --home runs --port 8080 --open")),
    "run": (
        submit.run,
        (
            "evomerge run experiment.yml",
            "evomerge run experiment.yml --name second --set budget.candidates=50",
        ),
    ),
    "check": (submit.check, ("evomerge check experiment.yml",)),
    "list": (look.list_experiments, ("evomerge list", "evomerge list --json")),
    "status": (look.status, ("evomerge status skills",)),
    "watch": (watch.watch, ("evomerge watch skills",)),
    "front": (look.front, ("evomerge front skills --split test", "evomerge front skills --csv > front.csv")),
    "pause": (steer.pause, ("evomerge pause skills",)),
    "resume": (steer.resume, ("evomerge resume skills",)),
    "cancel": (steer.cancel, ("evomerge cancel skills",)),
    "recipe": (look.recipe, ("evomerge recipe skills 17 > best.yml",)),
    "export": (
        checkpoints.export,
        ("evomerge export skills winner --to merged", "evomerge export skills 17 --to hub:org/name"),
    ),
    "merge": (checkpoints.merge, ("evomerge merge recipe.yml merged",)),
    "doctor": (doctor.doctor, ("evomerge doctor", "evomerge doctor --json")),
}

for _name, (_command, _examples) in COMMANDS.items():
    _epilog = "\b\nExamples:\n" + "\n".join(f"  {example}" for example in _examples)
    app.command(_name, epilog=_epilog)(_command)


def main() -> None:
    """Runs the command that the process was started with."""
    sys.exit(app())
