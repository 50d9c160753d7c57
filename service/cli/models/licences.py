"""`evomerge licences`: under which terms a merge of models would stand; reads their cards alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.table import Table

from search_spaces import Parent
from service.cli.connection import JsonOption
from service.cli.exits import Exit
from service.cli.model_arguments import merges_in, parent_named
from service.cli.spec_file import RECIPE_ENDINGS, read_spec_file
from service.cli.terminal.output import clean, data_console, say
from workers.compatibility.licences.reading import terms_of
from workers.compatibility.licences.verdict import LicenceVerdict, ParentTerms, judge


def licences(
    what: Annotated[
        list[str],
        typer.Argument(metavar="SPEC.yml|RECIPE.yml|MODEL...", help="An experiment, a recipe, or models."),
    ],
    as_json: JsonOption = False,
) -> int:
    """Say under which licence a merge of these models would stand, what it asks, and what is in the way.

    Reads the models' cards, and asks the Hub which are gated. Ends with code 6 where something stands in
    the way of publishing. It knows licences by name and gives no legal advice.
    """
    terms = terms_of(_models(what))
    verdict = judge(terms)
    if as_json:
        told = asdict(verdict) | {"parents": [asdict(each) for each in terms]}
        say(json.dumps(told, indent=2))
    else:
        _show(terms, verdict)
    return Exit.CONFLICT if verdict.problems else Exit.OK


def _models(what: list[str]) -> list[Parent]:
    if len(what) > 1 or not what[0].endswith(RECIPE_ENDINGS):
        return [parent_named(text) for text in what]
    path = Path(what[0])
    if _is_experiment(path):
        content = read_spec_file(path).content
        named = [*content.get("parents", ()), content.get("base")]
        return list(dict.fromkeys(parent_named(str(reference)) for reference in named if reference))
    return list(dict.fromkeys(p for merge in merges_in(path) for p in merge.recipe.all_parents))


def _is_experiment(path: Path) -> bool:
    """Says whether a file is an experiment, ours or mergekit-evolve's, and no recipe."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False  # who reads it as a recipe says what is wrong
    return isinstance(content, dict) and not content.keys().isdisjoint(("objectives", "genome"))


def _show(terms: tuple[ParentTerms, ...], verdict: LicenceVerdict) -> None:
    console = data_console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("MODEL", "LICENCE", "GATED"):
        table.add_column(head, overflow="fold")
    for each in terms:
        gated = {True: "yes", False: "no", None: "?"}[each.gated]
        table.add_row(clean(each.parent), clean(each.licence or "–"), gated)
    console.print(table)
    named = f" ({verdict.name})" if verdict.name else ""
    console.print(f"\nThe merged model: {clean(verdict.licence + named)}")
    for duty in verdict.duties:
        console.print(f"  {clean(duty)}")
    if verdict.problems:
        console.print("\nIn the way of publishing:")
        for problem in verdict.problems:
            console.print(f"  {clean(problem.detail)}")
