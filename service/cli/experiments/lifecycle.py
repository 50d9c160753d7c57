"""Commands of an experiment's lifecycle: pause, resume, stop, extend, cancel, delete, undelete."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.connection import JsonOption, NameArgument, Place, finds_experiments
from service.cli.exits import Exit
from service.cli.reaching import reach
from service.cli.terminal.output import CommandError, clean, note, say_json
from service.experiment.status import UNDER_WAY
from service.reports.views import ExperimentView

LIMITS = ("seconds", "gpu_hours", "target", "stagnation", "least_gain")


@finds_experiments
def pause(name: NameArgument, place: Place, as_json: JsonOption = False) -> None:
    """Have an experiment stop proposing; candidates on a worker finish."""
    with reach(place) as (client, own):
        _say(client.pause(name), own=own, as_json=as_json)


@finds_experiments
def resume(name: NameArgument, place: Place, as_json: JsonOption = False) -> None:
    """Have a paused or failed experiment go on where it stopped."""
    with reach(place) as (client, own):
        _say(client.resume(name), own=own, as_json=as_json)


@finds_experiments
def extend(
    name: NameArgument,
    place: Place,
    candidates: Annotated[int | None, typer.Option(help="Evolved candidates in all.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Seconds of searching in all.")] = None,
    gpu_hours: Annotated[float | None, typer.Option(help="GPU hours in all.")] = None,
    failures: Annotated[int | None, typer.Option(help="Failed candidates that are allowed.")] = None,
    target: Annotated[float | None, typer.Option(help="Weighted mean at which to end.")] = None,
    stagnation: Annotated[int | None, typer.Option(help="Candidates without progress to end at.")] = None,
    least_gain: Annotated[float | None, typer.Option(help="Expected gain below which to end.")] = None,
    lift: Annotated[
        list[str] | None,
        typer.Option(help=f"A limit to lift: {', '.join(LIMITS)}. Repeatable."),
    ] = None,
    widen: Annotated[
        bool,
        typer.Option("--widen", help="Search on beyond the bounds at which the winner's weights lie."),
    ] = False,
    new: Annotated[
        str | None, typer.Option("--name", help="With --widen: what the wider search is called.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Have an experiment that ended go on with a larger budget, as if given at first.

    With --widen a new experiment (NAME-wider) goes on in wider bounds. It starts from every model that
    is scored, and has the old one's budget where none is given.
    """
    totals = {
        "candidates": candidates,
        "seconds": seconds,
        "gpu_hours": gpu_hours,
        "failures": failures,
        "target": target,
        "stagnation": stagnation,
        "least_gain": least_gain,
    }
    budget: dict[str, int | float | None] = {key: value for key, value in totals.items() if value is not None}
    for limit in lift or []:
        if limit not in LIMITS:
            raise typer.BadParameter(f"{limit!r} is no limit that can be lifted", param_hint="--lift")
        budget[limit] = None
    if new is not None and not widen:
        raise typer.BadParameter("it names a wider search; add --widen", param_hint="--name")
    if widen:
        with reach(place) as (client, own):
            _say(client.widen(name, new, **budget), own=own, as_json=as_json)
        return
    if not budget:
        raise typer.BadParameter("say what to extend, as --candidates 500", param_hint="--candidates")
    with reach(place) as (client, own):
        _say(client.extend(name, **budget), own=own, as_json=as_json)


@finds_experiments
def stop(name: NameArgument, place: Place, as_json: JsonOption = False) -> None:
    """Have a search end early: what it has asked for is scored, then its winner is examined."""
    with reach(place) as (client, own):
        _say(client.stop(name), own=own, as_json=as_json)


@finds_experiments
def cancel(name: NameArgument, place: Place, as_json: JsonOption = False) -> None:
    """End an experiment for good; what was scored stays."""
    with reach(place) as (client, own):
        _say(client.cancel(name), own=own, as_json=as_json)


@finds_experiments
def delete(
    name: NameArgument,
    place: Place,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Cancel it first where it is under way.")] = False,
    for_good: Annotated[
        bool, typer.Option("--for-good", help="Remove it at once: nothing brings it back.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete an experiment with its candidates, scores and events. Exported checkpoints stay.

    For 30 days `evomerge undelete NAME` brings it back.
    """
    with reach(place) as (client, _):
        if not yes:
            _ask(client.experiment(name))
        view = client.delete(name, force=force, for_good=for_good)
    if as_json:
        say_json(view)
    note(
        f"{view.name} is {'removed for good' if for_good else 'deleted; `evomerge undelete` brings it back'}"
    )


@finds_experiments
def undelete(name: NameArgument, place: Place, as_json: JsonOption = False) -> None:
    """Bring an experiment back that was deleted within the last 30 days."""
    with reach(place) as (client, own):
        _say(client.undelete(name), own=own, as_json=as_json)


def _ask(view: ExperimentView) -> None:
    """Has it confirmed that an experiment is to go.

    Raises:
        CommandError: It is not confirmed.
    """
    told = f"Delete {clean(view.name)} ({view.status.words}) and its {view.progress.settled} candidates?"
    try:
        sure = typer.confirm(told, err=True)
    except typer.Abort:  # nothing answers
        sure = False
    if not sure:
        raise CommandError(f"{view.name} was not deleted", "confirm it, or add --yes", code=Exit.USAGE)


def _say(view: ExperimentView, *, own: bool, as_json: bool) -> None:
    """Says where it stands now; and, where this command opened the home itself, who carries it out."""
    if as_json:
        say_json(view)
    note(f"{view.name} is {view.status.words}")
    if own and view.status in UNDER_WAY:
        note("No service is running: it is carried out by the next `evomerge serve` or `evomerge run`.")
