"""Commands that show a search's inside: lineage, archive."""

from __future__ import annotations

from rich.table import Table

from service.cli.connection import (
    CandidateArgument,
    JsonOption,
    NameArgument,
    Place,
    finds_experiments,
    numbered,
)
from service.cli.reaching import connect
from service.cli.terminal.output import clean, data_console, note, say_json
from service.cli.terminal.tables import with_error
from service.cli.terminal.units import number as digits
from service.reports.search_views import ArchiveView, LineageView


@finds_experiments
def lineage(
    name: NameArgument, candidate: CandidateArgument, place: Place, as_json: JsonOption = False
) -> None:
    """Show all ancestors of a candidate, and how each was made."""
    with connect(place) as client:
        view = client.lineage(name, numbered(client, name, candidate))
    if as_json:
        say_json(view)
        return
    data_console().print(_lineage_table(view))
    if not view.complete:
        note("The oldest ancestors are left out: there are too many.")


@finds_experiments
def archive(name: NameArgument, place: Place, as_json: JsonOption = False) -> None:
    """Show the best candidate of every cell over the experiment's measures."""
    with connect(place) as client:
        view = client.archive(name)
    if as_json:
        say_json(view)
        return
    data_console().print(_archive_table(view))
    note(f"{view.coverage:.1%} of the cells are filled; their qualities sum to {view.qd_score:.4f}")


def _lineage_table(view: LineageView) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("CANDIDATE", "GENERATION", "MADE BY", "OF", "SEARCH SCORES"):
        table.add_column(title)
    for node in view.nodes:
        table.add_row(
            str(node.number),
            str(node.generation),
            clean(node.label or node.operator or "–"),
            ", ".join(map(str, node.ancestors)) or "–",
            ", ".join(f"{clean(score.benchmark)} {with_error(score)}" for score in node.scores)
            or node.status,
        )
    return table


def _archive_table(view: ArchiveView) -> Table:
    table = Table(box=None, pad_edge=False)
    for measure in view.measures:
        table.add_column(clean(measure.name).upper(), justify="right")
    table.add_column("CANDIDATE", justify="right")
    table.add_column("QUALITY", justify="right")
    for cell in view.cells:
        table.add_row(*map(digits, cell.measures), str(cell.number), digits(cell.quality))
    return table
