"""Commands that steer: pause, resume, extend, cancel."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.connection import KeyOption, NameArgument, ServerOption, connect
from service.cli.output import note
from service.reports.views import ExperimentView


def pause(name: NameArgument, server: ServerOption = None, api_key: KeyOption = None) -> None:
    """Have an experiment stop proposing; candidates on a worker finish."""
    with connect(server, api_key) as client:
        _say(client.pause(name))


def resume(name: NameArgument, server: ServerOption = None, api_key: KeyOption = None) -> None:
    """Have a paused or failed experiment go on where it stopped."""
    with connect(server, api_key) as client:
        _say(client.resume(name))


def extend(
    name: NameArgument,
    candidates: Annotated[int | None, typer.Option(help="Evolved candidates in all.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Seconds of searching in all.")] = None,
    gpu_hours: Annotated[float | None, typer.Option(help="GPU hours in all.")] = None,
    failures: Annotated[int | None, typer.Option(help="Failed candidates that are allowed.")] = None,
    target: Annotated[float | None, typer.Option(help="Weighted mean at which to end.")] = None,
    stagnation: Annotated[int | None, typer.Option(help="Candidates without progress to end at.")] = None,
    lift: Annotated[
        list[str] | None,
        typer.Option(help="A limit to lift: seconds, gpu_hours, target or stagnation. Repeatable."),
    ] = None,
    server: ServerOption = None,
    api_key: KeyOption = None,
) -> None:
    """Have an experiment that ended go on with a larger budget, as if given at first."""
    totals = {
        "candidates": candidates,
        "seconds": seconds,
        "gpu_hours": gpu_hours,
        "failures": failures,
        "target": target,
        "stagnation": stagnation,
    }
    budget: dict[str, int | float | None] = {key: value for key, value in totals.items() if value is not None}
    for limit in lift or []:
        if limit not in ("seconds", "gpu_hours", "target", "stagnation"):
            raise typer.BadParameter(f"{limit!r} is no limit that can be lifted", param_hint="--lift")
        budget[limit] = None
    if not budget:
        raise typer.BadParameter("say what to extend, as --candidates 500", param_hint="--candidates")
    with connect(server, api_key) as client:
        _say(client.extend(name, **budget))


def cancel(name: NameArgument, server: ServerOption = None, api_key: KeyOption = None) -> None:
    """End an experiment for good; what was scored stays."""
    with connect(server, api_key) as client:
        _say(client.cancel(name))


def _say(view: ExperimentView) -> None:
    note(f"{view.name} is {view.status}")
