"""`evomerge events` and `evomerge logs`: what happened in an experiment, and what went wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from service.cli.connection import JsonOption, NameArgument, Place, finds_experiments
from service.cli.reaching import reach
from service.cli.terminal.output import clean, note, say
from service.client.client import Client
from service.experiment.status import ENDED, ExperimentStatus
from service.reports.views import EventView, FailureView

MOST_TEXT = 100  # characters of a value in a line


@finds_experiments
def events(
    name: NameArgument,
    place: Place,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as things happen, until the experiment has ended.")
    ] = False,
    after: Annotated[int, typer.Option("--after", min=0, metavar="ID", help="Only later ones.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Show what happened in an experiment, a line each; with --json a JSON object per line."""
    with reach(place) as (client, own):
        view = client.experiment(name)
        stands = own and view.status not in ENDED
        found = client.follow(view.id, after=after) if follow and not stands else _so_far(client, name, after)
        try:
            for event in found:
                say(event.model_dump_json() if as_json else _line(event))
        except KeyboardInterrupt:
            note("\nNo longer following.")
        if follow and stands:
            note(f"No service is running, so nothing more happens in {view.name}.")


def _so_far(client: Client, name: str, after: int) -> Iterator[EventView]:
    token: str | None = None
    while True:
        page = client.events(name, page_token=token)
        yield from (event for event in page.items if event.id > after)
        token = page.next_page_token
        if token is None:
            return


def _line(event: EventView) -> str:
    facts = " ".join(f"{key}={_short(value)}" for key, value in event.payload.items() if value is not None)
    return clean(f"{event.created_at.astimezone():%Y-%m-%d %H:%M:%S}  {event.id:>6}  {event.kind}  {facts}")


def _short(value: Any) -> str:  # noqa: ANN401 - any JSON
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"


@finds_experiments
def logs(
    name: NameArgument,
    place: Place,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The latest entries to show.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show what went wrong in an experiment: its own failures and its candidates', each with what to do.

    The service's own log goes to its stderr.
    """
    with reach(place) as (client, _):
        entries = list(_troubles(client, name))
    shown = entries[-limit:]
    if as_json:
        say(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    for entry in shown:
        say(clean(_told(entry)))
    if not shown:
        note(f"Nothing went wrong in {name}.")
    elif len(entries) > limit:
        note(f"{len(entries) - limit} earlier ones; --limit {len(entries)} shows all.")


def _troubles(client: Client, name: str) -> Iterator[dict[str, Any]]:
    """Yields the failures of an experiment, of its candidates and its exports, oldest first."""
    found: list[dict[str, Any]] = []
    view = client.experiment(name)
    if view.failure is not None:
        found.append(_entry(view.ended_at or view.created_at, "the experiment", view.failure))
    elif view.reason and view.status is not ExperimentStatus.SUCCEEDED:
        told = f"{view.status.words}: {view.reason}"
        found.append({"at": str(view.ended_at or view.created_at), "of": "the experiment", "cause": told})
    for each in client.all_candidates(name):
        if each.failure is not None:
            at = each.settled_at or each.created_at
            found.append(_entry(at, f"candidate {each.number}", each.failure))
    for export in _exports(client):
        if export.experiment == view.id and export.failure is not None:
            at = export.ended_at or export.created_at
            found.append(_entry(at, f"the export of candidate {export.candidate}", export.failure))
    yield from sorted(found, key=lambda entry: entry["at"])


def _exports(client: Client) -> Iterable[Any]:
    token: str | None = None
    while True:
        page = client.exports(page_token=token)
        yield from page.items
        token = page.next_page_token
        if token is None:
            return


def _entry(at: object, of: str, failure: FailureView) -> dict[str, Any]:
    return {"at": str(at), "of": of, **failure.model_dump()}


def _told(entry: dict[str, Any]) -> str:
    lines = [f"{entry['at'][:19]}  {entry['of']}: {entry['cause']}"]
    if entry.get("remedy"):
        lines.append(f"    {entry['remedy']}")
    lines += [f"    | {line}" for line in (entry.get("excerpt") or "").splitlines()]
    return "\n".join(lines)
