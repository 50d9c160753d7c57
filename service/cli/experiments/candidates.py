"""`evomerge candidates` and `evomerge show`: an experiment's candidates, and one of them in full."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from evaluators import SPLITS, Split
from service.cli.connection import (
    CandidateArgument,
    FilterOption,
    JsonOption,
    NameArgument,
    OrderOption,
    Place,
    SplitOption,
    finds_experiments,
    numbered,
)
from service.cli.reaching import connect
from service.cli.terminal.output import CommandError, clean, data_console, note, say, say_json
from service.cli.terminal.tables import plain_table, score_of, with_error
from service.client.candidate_calls import TableForm
from service.experiment.candidate import CandidateStatus
from service.experiment.objectives import Objectives
from service.reports.views import CandidateDetail, CandidatePage, CandidateView, ExperimentDetail

Order = Literal["number", "score", "time", "generation"]
StatusOption = Annotated[
    list[CandidateStatus] | None, typer.Option("--status", help="Only those of this status; may be repeated.")
]


@finds_experiments
def candidates(
    name: NameArgument,
    place: Place,
    statuses: StatusOption = None,
    sort: Annotated[
        Order, typer.Option(help="Best scores first, by number, by the time they took, or newest generation.")
    ] = "number",
    front: Annotated[bool, typer.Option("--front", help="Only those on the front.")] = False,
    split: SplitOption = "search",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most candidates to show.")] = 50,
    chosen: FilterOption = None,
    order_by: OrderOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all rows to a .csv, .ndjson or .parquet file.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV instead of a table.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List an experiment's candidates with their scores.

    Baselines come first by number. `evomerge show NAME N` tells all of one.  Filters name columns:
    number, generation, status, kind, operator, on_front, failure.code, recipe.method, objectives.NAME ...
    """
    with connect(place) as client:
        if out is not None:
            _write(out, client.candidates_table(name, _form_of(out), filter=chosen))
            return
        view = client.experiment(name)
        every = client.all_candidates(name, filter=chosen, order_by=order_by)
        found = [each for each in every if not statuses or each.status in statuses]
    found = [each for each in found if each.on_front or not front]
    if order_by is None:
        found.sort(key=_ordering(view, sort, split))
    shown = found[:limit]
    if as_json:
        say_json(CandidatePage(items=shown, next_page_token=None))
    elif as_csv:
        say(_csv(view, found[:limit]))
    elif not shown:
        note(f"{view.name} has no such candidates.")
    else:
        data_console().print(_table(view, shown, split))
        if len(found) > limit:
            note(f"{len(found) - limit} more; --limit {len(found)} shows all.")


def _form_of(out: Path) -> TableForm:
    """Returns the form that a file's name tells.

    Raises:
        BadParameter: It tells none.
    """
    forms: dict[str, TableForm] = {".csv": "csv", ".ndjson": "ndjson", ".parquet": "parquet"}
    if out.suffix not in forms:
        raise typer.BadParameter(f"{out} ends in none of {', '.join(forms)}", param_hint="--out")
    return forms[out.suffix]


def _write(out: Path, content: bytes) -> None:
    """Writes all rows to a file.

    Raises:
        CommandError: It cannot be written.
    """
    try:
        out.write_bytes(content)
    except OSError as error:
        raise CommandError(f"{out}: {error.strerror}", "name a file that can be written") from error
    note(f"wrote {out}")


def _ordering(
    view: ExperimentDetail, sort: Order, split: Split
) -> Callable[[CandidateView], tuple[float, int]]:
    """Returns what candidates are sorted by; those without it come last."""
    objectives = Objectives(tuple(view.objectives))

    def key(each: CandidateView) -> tuple[float, int]:
        if sort == "score":
            fitness = objectives.fitness({s.benchmark: s.value for s in each.scores.get(split, ())})
            return (float("inf") if fitness is None else -objectives.scalar(fitness), each.number)
        if sort == "time":
            return (-(each.timings.merge + each.timings.evaluate), each.number)
        return (-each.generation if sort == "generation" else 0, each.number)

    return key


def _table(view: ExperimentDetail, shown: Sequence[CandidateView], split: Split) -> Table:
    heads = [f"{clean(objective.name)}\n{split}" for objective in view.objectives]
    table = plain_table("NO.", "GEN.", "MADE BY", "STATUS", *heads, "SECONDS", "")
    winner = None if view.winner is None else view.winner.number
    for each in shown:
        cells = [with_error(score_of(each.scores, split, objective.name)) for objective in view.objectives]
        seconds = each.timings.merge + each.timings.evaluate
        marks = ["winner"] * (each.number == winner) + ["front"] * each.on_front
        table.add_row(
            str(each.number),
            str(each.generation),
            clean(_maker(each)),
            each.status.value,
            *cells,
            f"{seconds:.1f}" if seconds else "–",
            ", ".join(marks),
        )
    return table


def _maker(each: CandidateView) -> str:
    return each.label or each.operator or "–"


def _csv(view: ExperimentDetail, shown: Sequence[CandidateView]) -> str:
    columns = [(split, objective.name) for split in SPLITS for objective in view.objectives]
    heads = [f"{split}:{name}{part}" for split, name in columns for part in ("", ":stderr")]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["number", "generation", "made_by", "status", "on_front", "seconds", *heads])
    for each in shown:
        scores = [score_of(each.scores, split, name) for split, name in columns]
        cells = [cell for s in scores for cell in ((s.value, s.stderr) if s else (None, None))]
        seconds = each.timings.merge + each.timings.evaluate
        facts = [each.number, each.generation, _maker(each), each.status.value, each.on_front, seconds]
        writer.writerow([*facts, *cells])
    return buffer.getvalue()


@finds_experiments
def show(name: NameArgument, candidate: CandidateArgument, place: Place, as_json: JsonOption = False) -> None:
    """Show all of a candidate: scores, recipe, where it comes from; why it failed, and what to do."""
    with connect(place) as client:
        view = client.candidate(name, numbered(client, name, candidate))
    if as_json:
        say_json(view)
        return
    facts = Table(box=None, show_header=False, pad_edge=False)
    for key, text in _facts(view).items():
        facts.add_row(key, clean(text))
    console = data_console()
    console.print(facts)
    if view.scores:
        console.print()
        console.print(_scores(view))
    if view.failure is not None and view.failure.excerpt:
        say(f"\n{clean(view.failure.excerpt)}")
    if view.recipe is not None:
        say(f"\n{clean(view.recipe)}")


def _facts(view: CandidateDetail) -> dict[str, str]:
    """Returns what is told of a candidate, by what it is called."""
    facts = {
        "candidate": f"{view.number}" + (f", {view.label}" if view.label else ""),
        "status": view.status.value + (", on the front" if view.on_front else ""),
        "made by": (view.operator or view.kind.value) + (_of(view.ancestors)),
        "generation": str(view.generation),
        "seconds": f"{view.timings.merge:.2f} to merge, {view.timings.evaluate:.2f} to evaluate",
    }
    if view.infeasible_reason:
        facts["infeasible"] = view.infeasible_reason
    if view.failure is not None:
        facts["failure"] = f"{view.failure.cause} ({view.failure.code}, {view.attempts} attempts)"
        facts["what to do"] = view.failure.remedy
    if view.violation:
        facts["constraints"] = f"broken by {view.violation:g}"
    if view.digest:
        facts["digest"] = view.digest
    return facts


def _of(ancestors: Sequence[int]) -> str:
    return f" of {', '.join(map(str, ancestors))}" if ancestors else ""


def _scores(view: CandidateDetail) -> Table:
    splits = [split for split in SPLITS if view.scores.get(split)]
    table = plain_table("OBJECTIVE", *(split.upper() for split in splits))
    for name in dict.fromkeys(score.benchmark for split in splits for score in view.scores[split]):
        table.add_row(clean(name), *(with_error(score_of(view.scores, split, name)) for split in splits))
    return table
