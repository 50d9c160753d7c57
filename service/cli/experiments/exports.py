"""`evomerge exports`: which exports there are, how far they are, and giving one up."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from service.cli.connection import JsonOption, Place, finds_experiments
from service.cli.exits import Exit
from service.cli.reaching import Need, reach
from service.cli.terminal.output import clean, data_console, note, say, say_json
from service.reports.views import ExportView


@finds_experiments
def exports(
    place: Place,
    cancel: Annotated[str | None, typer.Option("--cancel", metavar="ID", help="Give this export up.")] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=200, help="How many, the newest first.")] = 20,
    as_json: JsonOption = False,
) -> int:
    """List exports, newest first, or give one up.

    A cancelled export leaves no folder; an upload that had begun may leave files in the repository that no
    commit names.
    """
    with reach(place, Need.LOOK) as (client, _):
        if cancel is not None:
            view = client.cancel_export(cancel)
            note(f"Export {view.id} is {view.status}")
            if as_json:
                say_json(view)
            return Exit.OK
        page = client.exports(page_size=count)
    if as_json:
        say_json(page)
    elif page.items:
        data_console().print(_table(page.items))
    else:
        say("There are no exports.")
    return Exit.OK


def _table(views: list[ExportView]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("ID", no_wrap=True)
    for head in ("CANDIDATE", "STATUS", "WHERE"):
        table.add_column(head, overflow="fold")
    for view in views:
        where = view.failure.cause if view.failure is not None else view.url or view.folder or view.target
        table.add_row(str(view.id), str(view.candidate), view.status, escape(clean(where)))
    return table
