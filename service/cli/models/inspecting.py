"""`evomerge methods` and `evomerge inspect`: what models can be merged with, and what a model is."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from service.cli.connection import JsonOption
from service.cli.model_arguments import parent_named
from service.cli.terminal.output import clean, data_console, say_json
from service.cli.terminal.tables import plain_table
from service.cli.terminal.units import size
from service.reports.listings.method_views import ModelView, methods_view, model_view


def methods(as_json: JsonOption = False) -> None:
    """List merge methods, what each takes, and which of its parameters a search chooses."""
    found = methods_view()
    if as_json:
        say_json(found)
        return
    table = plain_table("METHOD", "PARENTS", "BASE", "SEARCHED", "FURTHER PARAMETERS")
    for each in found.items:
        base = "needed" if each.needs_base else "taken" if each.takes_base else "–"
        searched = [parameter.name for parameter in each.parameters if parameter.searched]
        others = [parameter.name for parameter in each.parameters if not parameter.searched]
        table.add_row(each.name, each.parents, base, " ".join(searched) or "–", " ".join(others) or "–")
    data_console().print(table)


def inspect(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder, or org/name of the Hub.")],
    as_json: JsonOption = False,
) -> None:
    """Say what a model is, from its config and the headers of its weights; fetches no weights."""
    from workers.checkpoints.hub.parent_files import inspect_parent  # the Hub's client is slow to import
    from workers.compatibility.licences.reading import terms_of
    from workers.compatibility.parent_facts import facts_of

    parent = parent_named(model)
    facts = facts_of(inspect_parent(parent))
    view = model_view(facts, gated=terms_of([parent])[0].gated)
    if as_json:
        say_json(view)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, text in _told(view).items():
        table.add_row(key, clean(text))
    data_console().print(table)


def _told(view: ModelView) -> dict[str, str]:
    sizes = ", ".join(f"{name} {number:,}" for name, number in view.sizes.items())
    formats = ", ".join(f"{name} {size(count)}" for name, count in view.dtypes.items())
    gated = {None: "", True: "; its owner lets people in", False: ""}[view.gated]
    return {
        "model": view.model,
        "architecture": f"{view.architecture}, {view.layers} layers" + (f", {sizes}" if sizes else ""),
        "parameters": f"{view.parameters:,}",
        "weights": f"{size(view.bytes)} ({formats}){'' if view.here else ', not on this machine'}",
        "tokens": "–" if view.tokens is None else f"{view.tokens:,}",
        "context": "–" if view.context is None else f"{view.context:,} tokens",
        "licence": (view.licence or "none is given") + gated,
        "made from": ", ".join(view.made_from) or "–",
    }
