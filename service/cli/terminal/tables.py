"""Views as tables on a terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from rich.box import Box
from rich.table import Table

from evaluators import SPLITS, Split
from service.cli.terminal.output import clean
from service.cli.terminal.units import duration, number
from service.experiment.objectives import ObjectiveFacts
from service.reports.partial_evaluation import asked_of_all
from service.reports.views import ExperimentDetail, ExperimentView, FrontPoint, FrontView, ScoreView


def with_error(score: ScoreView | None) -> str:
    """Returns a score with its standard error."""
    if score is None:
        return "–"
    return f"{score.value:.3f} ± {score.stderr:.3f}" if score.stderr else f"{score.value:.3f}"


def experiments_table(views: Sequence[ExperimentView]) -> Table:
    """Returns the table of `evomerge list`."""
    table = plain_table("NAME", "STATUS", "DONE", "WORKERS", "BEST", "BASELINE", "ALGORITHM", "CREATED")
    for view in views:
        progress = view.progress
        done = f"{progress.settled}/{progress.total}"
        created = view.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
        scores = (number(progress.best), number(progress.best_baseline))
        workers = "" if view.workers is None else str(view.workers)
        table.add_row(clean(view.name), view.status.words, done, workers, *scores, view.algorithm, created)
    return table


def status_table(view: ExperimentDetail) -> Table:
    """Returns the table of `evomerge status`."""
    progress = view.progress
    table = Table(box=None, show_header=False, pad_edge=False)
    counts = ", ".join(f"{count} {status}" for status, count in progress.counts.items() if count)
    reason = f" ({view.reason})" if view.reason else ""
    rows = {
        "name": view.name,
        "id": str(view.id),
        "status": f"{view.status.words}{reason}",
        "candidates": f"{progress.settled} of {progress.total}" + (f": {counts}" if counts else ""),
        "rate": "–" if progress.rate is None else f"{progress.rate:.2f} per second",
        "time left": duration(progress.eta_seconds),
        "best": f"{number(progress.best)}" + _by(progress.best_number),
        "best baseline": number(progress.best_baseline),
        "hypervolume": number(progress.hypervolume[-1].hypervolume if progress.hypervolume else None),
        "objectives": ", ".join(f"{o.name} ({o.metric})" for o in view.objectives),
        "parents": ", ".join(view.parents),
        **({"changes": "; ".join(view.changes)} if view.changes else {}),
        **({"started from": known_words(view.known)} if view.known else {}),
        **({"idle genes": ", ".join(view.idle_genes)} if view.idle_genes else {}),
        "may": ", ".join(view.may) or "nothing more",
    }
    if view.controller is not None:
        count = "getting ready" if view.workers is None else str(view.workers)
        weight = f", priority {view.priority:g}" if view.priority != 1 else ""
        rows["workers"] = f"{count} (controller {view.controller}{weight})"
    if progress.examination is not None:
        rows["examination"] = progress.examination.words
    if prompts := "; ".join(f"{o.name}: {o.asked}" for o in view.objectives if o.asked):
        rows["asked as"] = prompts
    if asked := "; ".join(asked_of_all(view)):
        rows["asked"] = asked
    if view.winner is not None:
        gaps = ", ".join(f"{name} {gap:+.3f}" for name, gap in view.winner.optimism.items())
        said = f"; {view.winner.unbeaten}" if view.winner.unbeaten else ""
        rows["winner"] = f"candidate {view.winner.number}{said}; optimism: {gaps}"
    if view.failure is not None:
        rows["failure"] = f"{view.failure.cause}; {view.failure.remedy}"
    for name, text in rows.items():
        table.add_row(name, clean(text))
    return table


def known_words(known: Mapping[str, int]) -> str:
    """Says how many scored models of which experiments another one starts from."""
    return ", ".join(f"{count} models of {name}" for name, count in known.items())


def _by(candidate: int | None) -> str:
    return "" if candidate is None else f" (candidate {candidate})"


def front_table(view: FrontView, *, width: int) -> Table:
    """Returns the table of `evomerge front`: the front, a rule, and what it is compared to.

    As many splits are shown as fit into `width` characters, the asked one first; each is named once, over
    its columns.
    """
    columns = _fitting(view, width)
    table = Table(box=_RULED, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("\nNO.", justify="right")
    table.add_column("\nRECIPE", overflow="fold")
    named = ""
    for split, objective in columns:
        over = split.upper() if split != named else ""
        table.add_column(clean(f"{over}\n{objective.name}"), overflow="fold", min_width=SCORE_WIDTH)
        named = split
    for points in (view.front, _others(view)):
        for point in points:
            cells = [with_error(_score(point, column)) for column in columns]
            style = "bold" if point.number == view.winner else None
            table.add_row(str(point.number), clean(_called(point, view.winner)), *cells, style=style)
        table.add_section()
    return table


def _called(point: FrontPoint, winner: int | None) -> str:
    """Returns a baseline's name, or a recipe in a few words; and that it is the winner."""
    mark = "winner: " if point.number == winner else ""
    if point.label and (point.kind.is_baseline or not point.words):
        return mark + point.label
    called = f" ({point.label})" if point.label else ""
    return mark + (point.words or "candidate") + called


def front_csv(view: FrontView) -> str:
    """Returns the front and the baselines as CSV."""
    columns = _columns(view)
    heads = [f"{split}:{o.name}{part}" for split, o in columns for part in ("", ":stderr")]
    rows: list[list[object]] = [["number", "label", "recipe", "on_front", "winner", *heads]]
    for on_front, points in ((True, view.front), (False, _others(view))):
        for point in points:
            scores = [_score(point, column) for column in columns]
            cells = [cell for s in scores for cell in ((s.value, s.stderr) if s else (None, None))]
            said = [point.number, point.label, point.words, on_front, point.number == view.winner]
            rows.append([*said, *cells])
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


WORDS_WIDTH, SCORE_WIDTH, GAP = (
    45,
    13,
    3,
)  # characters in the table of the front: what rows begin with, a score
_RULED = Box(
    "    \n    \n ── \n    \n ── \n ── \n    \n    \n"
)  # a rule below the heads, and between sections
_Column = tuple[Split, ObjectiveFacts]


def _columns(view: FrontView) -> list[_Column]:
    """Returns the splits that anything was scored on, the asked one first, with each objective."""
    seen = {split for point in (*view.front, *view.baselines) for split in point.scores}
    splits = [view.split, *(split for split in SPLITS if split in seen and split != view.split)]
    return [(split, objective) for split in splits for objective in view.objectives]


def _fitting(view: FrontView, width: int) -> list[_Column]:
    """Returns the columns of as many splits as fit beside the recipes, at least those of the asked one."""
    of_a_split = sum(max(SCORE_WIDTH, len(objective.name)) + GAP for objective in view.objectives)
    splits = max((width - WORDS_WIDTH) // of_a_split, 1)
    return _columns(view)[: splits * len(view.objectives)]


def _others(view: FrontView) -> list[FrontPoint]:
    """Returns what the front is compared to: the baselines, and a winner that is behind it on this split."""
    front = {point.number for point in view.front}
    winner = [point for point in view.dominated if point.number == view.winner]
    return [*winner, *(point for point in view.baselines if point.number not in front)]


def _score(point: FrontPoint, column: _Column) -> ScoreView | None:
    split, objective = column
    return score_of(point.scores, split, objective.name)


def score_of(scores: Mapping[Split, Sequence[ScoreView]], split: Split, objective: str) -> ScoreView | None:
    """Returns the score on one split of one objective; None where there is none."""
    return next((score for score in scores.get(split, ()) if score.benchmark == objective), None)


def plain_table(*heads: str) -> Table:
    """Returns an empty table with these heads."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=head not in ("LABEL", "NAME", "MADE BY", ""))
    return table
