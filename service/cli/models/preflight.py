"""`evomerge preflight`: what the parents of a merge are, and what will not work; reads few weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from search_spaces.recipes.mergekit.recipe_file import NamedMerge
from service.cli.connection import JsonOption
from service.cli.exits import Exit
from service.cli.model_arguments import merges_in, parent_named
from service.cli.models.several_merges import inspected_as
from service.cli.spec_file import RECIPE_ENDINGS
from service.cli.terminal.output import clean, data_console, note, say
from service.cli.terminal.units import size
from workers.compatibility.parent_facts import ParentFacts
from workers.compatibility.preflight import (
    Comparison,
    Concern,
    Needs,
    Preflight,
    as_json,
    preflight_models,
    preflight_recipe,
)


def preflight(
    what: Annotated[
        list[str], typer.Argument(metavar="RECIPE.yml|MODEL...", help="A recipe, or models to compare.")
    ],
    as_json_text: JsonOption = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a recipe with parts that are not read.")
    ] = False,
) -> int:
    """Say what the parents of a merge are, what it needs, and what will not work.

    Reads configs, tokenizers, the headers of safetensors, a few kilobytes of weights, and as much more
    as models left of the base (or the first model) as it was. Ends with code 3 when the merge cannot
    work. Of a file with several recipes each is looked at.
    """
    if len(what) > 1 or not what[0].endswith(RECIPE_ENDINGS):
        found = [preflight_models([parent_named(text) for text in what])]
    else:
        found = _of_merges(merges_in(Path(what[0]), strict=strict))
    if as_json_text:
        told = [as_json(each) for each in found]
        say(json.dumps(told if len(told) > 1 else told[0], indent=2, default=str))
    else:
        for each in found:
            _show(each)
    return Exit.INVALID if any(each.refusals for each in found) else Exit.OK


def _of_merges(merges: Sequence[NamedMerge]) -> list[Preflight]:
    """Looks at the parents of every merge of a file; a merge's model is looked at as its owner's."""
    if len(merges) == 1:
        return [preflight_recipe(merges[0].recipe)]
    found = []
    for merge, can_be_seen in inspected_as(merges):
        called = merge.name or "the final merge"
        if can_be_seen:
            note(f"{called}:")
            found.append(preflight_recipe(merge.recipe))
        else:
            note(f"{called}: not looked at, since {' and '.join(merge.takes)} must be made first")
    return found


def _show(found: Preflight) -> None:
    console = data_console()
    if found.parents:
        console.print(_parents_table(found.parents))
    if found.comparisons:
        console.print(_comparisons_table(found.comparisons))
    if found.needs is not None:
        console.print(_needs_table(found.needs))
    if found.chat_template:
        console.print(clean(f"\nThe merged model takes {found.chat_template}."))
    for change in found.changes:
        console.print(clean(f"{change.words}."))
    for heading, findings in (("Refused", found.refusals), ("Mind", found.warnings)):
        if findings:
            console.print(f"\n{heading}:")
            for finding in findings:
                console.print(f"  {_sentence(finding)}")
    if not found.refusals:
        console.print(f"\n{_verdict(found)}")


def _verdict(found: Preflight) -> str:
    """Returns the last word on what is not refused."""
    if not found.warnings:
        return "Nothing stands in the way."
    count = len(found.warnings)
    return f"It can be merged; mind the {'point' if count == 1 else f'{count} points'} above."


def _sentence(finding: Concern) -> str:
    return clean(f"{finding.field}: {finding.detail}; {finding.remedy}")


def _parents_table(parents: Iterable[ParentFacts]) -> Table:
    table = _table(
        *("PARENT", "ARCHITECTURE", "SHAPE", "PARAMETERS", "SIZE"),
        *("TYPE", "TOKENS", "CONTEXT", "ROPE", "LICENCE"),
    )
    for each in parents:
        tied = ", tied" if each.tied else ""
        table.add_row(
            clean(each.parent),
            clean(each.architecture),
            _shape(each),
            _count(each.parameters),
            size(each.bytes),
            "/".join(each.dtypes),
            f"{each.tokens or '–'} in {each.rows} rows{tied}",
            str(each.context or "–"),
            clean(_rope(each)),
            clean(each.licence or "–"),
        )
    return table


def _shape(each: ParentFacts) -> str:
    """Returns depth and widths in words: `32 layers of 4096, 32/8 heads, MLP 14336`."""
    sizes = each.sizes
    heads = "/".join(str(sizes[name]) for name in ("heads", "kv_heads") if name in sizes)
    parts = [f"{each.layers} layers" + (f" of {sizes['hidden']}" if "hidden" in sizes else "")]
    parts += [f"{heads} heads"] if heads else []
    parts += [f"MLP {sizes['mlp']}"] if "mlp" in sizes else []
    return ", ".join(parts)


def _rope(each: ParentFacts) -> str:
    """Returns the settings of rotary positions, shortly."""
    settings = {name: value for name, value in each.rope.items() if value != "default"}
    short = {"rope_theta": "theta", "rope_type": "type"}
    return ", ".join(f"{short.get(name, name)} {_plain(value)}" for name, value in settings.items()) or "–"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _count(number: int) -> str:
    """Returns a number of parameters as people say it: `7.2 B`."""
    for factor, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return str(number)


def _comparisons_table(comparisons: Iterable[Comparison]) -> Table:
    table = _table("\nCOMPARED", "\nWITH", "\nTOKENS THAT DIFFER", "\nEVIDENCE")
    for each in comparisons:
        tokens = "–" if each.differing_tokens is None else str(each.differing_tokens)
        table.add_row(clean(each.parent), clean(each.other), tokens, clean("; ".join(each.evidence)))
    return table


def _needs_table(needs: Needs) -> Table:
    rows: Mapping[str, str] = {
        "download": size(needs.download),
        "read": size(needs.read),
        "write": size(needs.write),
        "memory, all in it": f"{size(needs.live)}, and what an evaluation takes",
        "memory, streamed": f"about {size(needs.streamed)}; less with a limit, if a method goes row by row",
    }
    table = _table("\nNEEDED", "")
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    return table
