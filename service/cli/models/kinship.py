"""`evomerge kinship`: how alike fine-tuned models are, every two of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from service.cli.connection import JsonOption
from service.cli.model_arguments import parent_named
from service.cli.terminal.output import clean, data_console, note, say
from workers.pools.actor import kinship_here
from workers.protocol.kinship_orders import LIKE_ENOUGH, KinshipInquiry, KinshipReport


def kinship(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Two fine-tuned models or more.")],
    base: Annotated[
        str | None,
        typer.Option(
            "--base", metavar="MODEL", help="Their ancestor.", show_default="weights are compared themselves"
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option("--threshold", min=-1.0, max=1.0, help="Column cosine from which models are a family."),
    ] = LIKE_ENOUGH,
    parts: Annotated[
        list[str] | None,
        typer.Option(
            "--part",
            metavar="TEXT",
            help="Compare only such matrices by column; may be repeated.",
            show_default="all inside layers",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how alike fine-tuned models are, to choose which to merge.

    Reads all weights once. CORRELATION, COSINE and DISTANCE are of the flattened task vectors (model
    kinship, arXiv 2410.12613), MEAN ones are means over the tensors. COLUMNS is the mean cosine of the
    weights' columns, by which Model-GLUE (arXiv 2410.05357) puts models into families.
    """
    origin = None if base is None else parent_named(base)
    inquiry = KinshipInquiry(tuple(parent_named(model) for model in models), origin, tuple(parts or ()))
    found = kinship_here(inquiry)
    if as_json:
        say(json.dumps(_as_json(found, threshold), indent=2))
    else:
        _show(found, threshold)


def _as_json(found: KinshipReport, threshold: float) -> dict[str, object]:
    names = [str(parent) for parent in found.parents]
    return {
        "parents": names,
        "pairs": [asdict(pair) for pair in found.pairs],
        "families": [list(family) for family in found.families(threshold)],
        "tensors": found.tensors,
        "left_out": found.left_out,
    }


def _show(found: KinshipReport, threshold: float) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("MODEL", "WITH", "CORRELATION", "COSINE", "DISTANCE", "MEAN CORR.", "MEAN COS.", "COLUMNS"):
        table.add_column(head, overflow="fold")
    for pair in found.pairs:
        table.add_row(
            clean(str(found.parents[pair.first])),
            clean(str(found.parents[pair.second])),
            *(f"{value:.4f}" for value in (pair.correlation, pair.cosine)),
            f"{pair.distance:.4g}",
            *(f"{value:.4f}" for value in (pair.mean_correlation, pair.mean_cosine, pair.column_cosine)),
        )
    console = data_console()
    console.print(table)
    console.print(f"\nFamilies (columns alike from {threshold:g}):")
    for number, family in enumerate(found.families(threshold), 1):
        console.print(clean(f"  {number}: {', '.join(str(found.parents[member]) for member in family)}"))
    if found.left_out:
        note(f"{found.left_out} tensors are not in all models in one shape, and were left out")
