"""`evomerge export`: a candidate becomes a checkpoint."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from service.cli.completion import winner_that_begins
from service.cli.connection import (
    JsonOption,
    NameArgument,
    Place,
    finds_experiments,
    number_or_winner,
)
from service.cli.exits import Exit
from service.cli.experiments.export_preview import show_preview
from service.cli.reaching import Need, reach
from service.cli.terminal.output import CommandError, clean, note, note_console, say, say_json
from service.cli.terminal.units import bytes_in, size
from service.client.client import Client
from service.reports.views import ExportView

HUB = "hub:"
FRONT = "front"
GLANCE = 0.5  # seconds between two looks at how far it is


@finds_experiments
def export(
    name: NameArgument,
    place: Place,
    candidate: Annotated[
        str,
        typer.Argument(
            metavar="N|winner|front",
            help="A number, `winner`, or `front` for all merges on it.",
            autocompletion=winner_that_begins,
        ),
    ] = "winner",
    target: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="FOLDER|hub:ORG/NAME|s3://...",
            help="Where to.",
            show_default="the service's home",
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
    accept_licences: Annotated[
        bool,
        typer.Option("--accept-licences", help="Publish although licences are in the way; the card says so."),
    ] = False,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request on the Hub.")] = False,
    dtype: Annotated[
        Literal["float32", "float16", "bfloat16"] | None,
        typer.Option("--dtype", help="Number format of the weights.", show_default="the recipe's"),
    ] = None,
    shard_gigabytes: Annotated[
        float, typer.Option("--shard-size", min=0.001, metavar="GB", help="Largest file of weights.")
    ] = 5.0,
    memory_limit: Annotated[
        str | None,
        typer.Option("--memory-limit", metavar="SIZE", help="Most memory to use, such as 4GB."),
    ] = None,
    file_format: Annotated[
        Literal["hf", "mergekit", "gguf"],
        typer.Option("--format", help="A checkpoint, its recipe alone, or a checkpoint and a GGUF file."),
    ] = "hf",
    quantize: Annotated[
        str | None,
        typer.Option(
            "--quantize",
            metavar="KIND,...",
            help="Write copies beside it: int8, nf4 (bitsandbytes).",
        ),
    ] = None,
    sign: Annotated[
        bool, typer.Option("--sign", help="Add a signature by the key that EVOMERGE_SIGNING_KEY names.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show files, sizes, card, licences and what changes there; write nothing."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Export a candidate as an ordinary Hugging Face checkpoint, and wait until it is written.

    `front` exports each of its merges to FOLDER/N or ORG/NAME-N; their cards name each other, and on the Hub
    they share a collection. A relative FOLDER is taken from here; the service writes it on its own
    machine. For the Hub the service needs HF_TOKEN in its environment.
    """
    options: dict[str, Any] = {
        "private": not public,
        "replace": replace,
        "verify": verify,
        "even_a_parent": even_a_parent,
        "accept_licences": accept_licences,
        "create_pr": create_pr,
        "dtype": dtype,
        "shard_gigabytes": shard_gigabytes,
        "memory_limit": bytes_in(memory_limit) if memory_limit is not None else None,
        "format": file_format,
        "sign": sign,
        "quantize": [kind.strip() for kind in (quantize or "").split(",") if kind.strip()],
    }
    with reach(place, Need.EXPORT) as (client, own):
        if candidate == FRONT:
            wanted = _front(client, name, target, even_a_parent=even_a_parent)
        else:
            wanted = [(number_or_winner(candidate), _target(target), {})]
        if dry_run:
            views = [
                client.preview_export(name, number, target=place_of_it, **options, **more)
                for number, place_of_it, more in wanted
            ]
            return max(show_preview(view, as_json=as_json) for view in views)
        for number, place_of_it, more in wanted:
            view = client.export(name, number, target=place_of_it, **options, **more)
            note(f"Exporting candidate {view.candidate} to {view.target}")
            try:
                view = wait_until_written(client, view)
            except KeyboardInterrupt:
                goes_on = (
                    "the same command begins it anew"
                    if own
                    else f"the service goes on writing: `evomerge exports --cancel {view.id}` ends it"
                )
                note(f"\nNo longer waiting; {goes_on}.")
                return Exit.INTERRUPTED
            _tell(view, as_json=as_json)
    return Exit.OK


def _front(
    client: Client, name: str, target: str | None, *, even_a_parent: bool
) -> list[tuple[int | str, str | None, dict[str, Any]]]:
    """Returns the merges on an experiment's front, where each goes, and that they belong together.

    Raises:
        CommandError: There is none.
    """
    points = client.front(name).front
    numbers = [point.number for point in points if even_a_parent or not point.kind.is_bare]
    if not numbers:
        raise CommandError(f"no merge is on the front of {name}", "export a candidate by its number")
    stem = _target(target)
    between = "-" if target is not None and target.startswith(HUB) else "/"
    places = [None if stem is None else f"{stem.rstrip('/')}{between}{number}" for number in numbers]
    return [(number, at, {"family": numbers}) for number, at in zip(numbers, places, strict=True)]


def _tell(view: ExportView, *, as_json: bool) -> None:
    """Tells how an export ended.

    Raises:
        CommandError: It failed, or was cancelled.
    """
    if view.status == "cancelled":
        raise CommandError("the export was cancelled", "the same command begins it anew")
    if view.failure is not None:
        raise CommandError(f"the export failed: {view.failure.cause}", view.failure.remedy)
    note(f"Written ({size(view.bytes or 0)}); digest {view.digest}")
    for remark in (view.verified or "not verified: transformers was not asked to load it", *view.notes):
        note(clean(remark))
    if as_json:
        say_json(view)
    else:
        say(view.url or view.folder or view.target)


def _target(text: str | None) -> str | None:
    if text is None or text.startswith(HUB) or "://" in text:
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
