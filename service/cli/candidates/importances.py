"""`evomerge importances`: how much each gene matters."""

from __future__ import annotations

from service.cli.connection import JsonOption, NameArgument, Place, finds_experiments
from service.cli.reaching import connect
from service.cli.terminal.output import clean, data_console, note, say_json
from service.cli.terminal.tables import plain_table


@finds_experiments
def importances(name: NameArgument, place: Place, as_json: JsonOption = False) -> None:
    """Say how much each gene matters to each objective, beside what chance alone would give."""
    with connect(place) as client:
        found = client.importances(name)
    if as_json:
        say_json(found)
        return
    if not any(one.genes for one in found.objectives):
        note(f"{found.candidates} candidates are too few to say which genes matter.")
        return
    table = plain_table("OBJECTIVE", "GENE", "SHARE", "BY CHANCE", "THE BEST LIE")
    for one in found.objectives:
        for gene in one.genes:
            where = ("higher" if gene.direction > 0 else "lower") if gene.is_clear else "–"
            table.add_row(
                clean(one.objective), clean(gene.gene), f"{gene.share:.0%}", f"{gene.chance:.0%}", where
            )
    data_console().print(table)
