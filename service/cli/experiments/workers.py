"""`evomerge workers`: who has which workers."""

from __future__ import annotations

from service.cli.connection import JsonOption, Place, finds_experiments
from service.cli.reaching import connect
from service.cli.terminal.output import clean, data_console, note, say_json
from service.cli.terminal.tables import plain_table


@finds_experiments
def workers(place: Place, as_json: JsonOption = False) -> None:
    """Say which experiments have how many workers, and what these are at; queued ones wait for some."""
    with connect(place) as client:
        found = client.workers()
    if as_json:
        say_json(found)
        return
    if found.trouble:
        note(f"The workers are away: {clean(found.trouble)}")
    if not found.items:
        note("No experiment is under way.")
        return
    table = plain_table("EXPERIMENT", "STATUS", "WORKERS", "AT", "CONTROLLER")
    for each in found.items:
        at = ", ".join(f"{one.candidate}" for one in each.out[:8]) + (" ..." if len(each.out) > 8 else "")
        count = "–" if each.workers is None else str(each.workers)
        table.add_row(
            clean(each.experiment), each.status.value, count, at or "–", clean(each.controller or "–")
        )
    data_console().print(table)
