"""`evomerge export`: a candidate becomes a checkpoint."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from service.cli.connection import (
    CandidateArgument,
    JsonOption,
    NameArgument,
    Place,
    finds_experiments,
    number_or_winner,
)
from service.cli.exits import Exit
from service.cli.output import CommandError, clean, note, note_console, say, say_json
from service.cli.reaching import Need, reach
from service.cli.units import size
from service.client.client import Client
from service.reports.views import ExportView

HUB = "hub:"
GLANCE = 0.5  # seconds between two looks at how far it is


@finds_experiments
def export(
    name: NameArgument,
    place: Place,
    candidate: CandidateArgument = "winner",
    target: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="FOLDER|hub:ORG/NAME", help="Where to.", show_default="the service's home"
        ),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new Hub repository public.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an earlier export there, or a repository's model.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify/--no-verify", help="Have transformers load it before it gets its name."),
    ] = True,
    even_a_parent: Annotated[
        bool, typer.Option("--even-a-parent", help="Copy even a candidate that is a parent as it is.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Export a candidate as an ordinary Hugging Face checkpoint, and wait until it is written.

    A relative FOLDER is taken from here; the service writes it on its own machine. For the Hub the
    service needs HF_TOKEN in its environment.
    """
    wanted = number_or_winner(candidate)
    with reach(place, Need.EXPORT) as (client, own):
        view = client.export(
            name,
            wanted,
            target=_target(target),
            private=not public,
            replace=replace,
            verify=verify,
            even_a_parent=even_a_parent,
        )
        note(f"Exporting candidate {view.candidate} to {view.target}")
        try:
            view = wait_until_written(client, view)
        except KeyboardInterrupt:
            goes_on = "the same command begins it anew" if own else "the service goes on writing"
            note(f"\nNo longer waiting; {goes_on}.")
            return Exit.INTERRUPTED
    if view.failure is not None:
        raise CommandError(f"the export failed: {view.failure.cause}", view.failure.remedy)
    note(f"Written ({size(view.bytes or 0)}); digest {view.digest}")
    for remark in (view.verified or "not verified: transformers was not asked to load it", *view.notes):
        note(clean(remark))
    if as_json:
        say_json(view)
    else:
        say(view.url or view.folder or view.target)
    return Exit.OK


def _target(text: str | None) -> str | None:
    if text is None or text.startswith(HUB):
        return text
    return str(Path(text).expanduser().absolute())


def wait_until_written(client: Client, view: ExportView) -> ExportView:
    """Waits for an export to end; shows how long it has taken."""
    with note_console().status("writing") as status:
        started = time.monotonic()
        while view.status in ("queued", "running", "cancelling"):
            status.update(f"{view.status}, {time.monotonic() - started:.0f} s")
            time.sleep(GLANCE)
            view = client.export_state(view.id)
    return view
