"""Views as HTML tables, for notebooks.  All names are other people's text, and escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from service.reports.front_columns import front_columns, front_rows

if TYPE_CHECKING:
    from service.reports.listings.answer_views import AnswersView
    from service.reports.views import (
        CandidateDetail,
        CandidatePage,
        ExperimentPage,
        ExperimentView,
        FrontView,
        ScoreView,
    )


def front_html(view: FrontView) -> str:
    """Returns the front, then what it is compared to; a star marks the winner."""
    columns = front_columns(view)
    heads = ["", "candidate", *(f"{column.objective.name}, {column.split}" for column in columns)]
    rows = []
    for point, on_front in front_rows(view):
        mark = "★" if point.number == view.winner else "●" if on_front else ""
        label = point.label or str(point.kind)
        rows.append([mark, f"{point.number} {label}", *(_score(column.score(point)) for column in columns)])
    legend = f"● on the front of the {view.split} split, ★ winner; ± one standard error"
    return table(heads, rows, caption=legend)


def experiment_html(view: ExperimentView) -> str:
    """Returns what is known of an experiment, one fact a row."""
    progress = view.progress
    rows = [
        ["status", f"{view.status}{f' ({view.reason})' if view.reason else ''}"],
        ["candidates", f"{progress.settled} of {progress.total}"],
        [
            "best on the search split",
            f"{_number(progress.best)} (baselines {_number(progress.best_baseline)})",
        ],
        ["objectives", ", ".join(f"{one.name} ({one.metric})" for one in view.objectives)],
        ["parents", ", ".join(view.parents)],
        ["optimizer", view.algorithm],
    ]
    if view.winner is not None:
        said = f"; {view.winner.unbeaten}" if view.winner.unbeaten else ""
        rows.append(["winner", f"candidate {view.winner.number}{said}"])
    if view.failure is not None:
        rows.append(["failure", f"{view.failure.cause}; {view.failure.remedy}"])
    return table(["experiment", view.name], rows)


def experiments_html(page: ExperimentPage) -> str:
    """Returns one row per experiment."""
    rows = [
        [
            view.name,
            str(view.status),
            f"{view.progress.settled}/{view.progress.total}",
            _number(view.progress.best),
            _number(view.progress.best_baseline),
            f"{view.created_at:%Y-%m-%d %H:%M}",
        ]
        for view in page.items
    ]
    return table(["name", "status", "candidates", "best", "best baseline", "created, UTC"], rows)


def candidates_html(page: CandidatePage) -> str:
    """Returns one row per candidate; a dot marks the front of the search split."""
    names = list(dict.fromkeys(s.benchmark for view in page.items for s in view.scores.get("search", ())))
    rows = []
    for view in page.items:
        found = {score.benchmark: score for score in view.scores.get("search", ())}
        made_by = view.label or view.operator or str(view.kind)
        scores = [_score(found.get(name)) for name in names]
        rows.append(["●" if view.on_front else "", str(view.number), made_by, str(view.status), *scores])
    return table(["", "candidate", "made by", "status", *names], rows, caption="● on the front, search split")


def candidate_html(view: CandidateDetail) -> str:
    """Returns a candidate's scores by split, then its recipe."""
    names = list(dict.fromkeys(score.benchmark for scores in view.scores.values() for score in scores))
    rows = []
    for name in names:
        found = {split: s for split, scores in view.scores.items() for s in scores if s.benchmark == name}
        rows.append([name, *(_score(found.get(split)) for split in view.scores)])
    why = view.infeasible_reason or (f"{view.failure.cause}; {view.failure.remedy}" if view.failure else "")
    said = table([f"candidate {view.number} ({view.status})", *view.scores], rows, caption=why)
    return said + (f"<pre>{escape(view.recipe)}</pre>" if view.recipe else "")


def answers_html(view: AnswersView) -> str:
    """Returns what models answered to a prompt, one a row."""
    rows = [[each.label, each.text + (" …" if each.cut_off else "")] for each in view.items]
    return table(["model", "answer"], rows)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> str:
    """Returns an HTML table; every text is escaped."""
    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    below = f"<p>{escape(caption)}</p>" if caption else ""
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{below}"


def _score(score: ScoreView | None) -> str:
    if score is None:
        return "–"
    return f"{score.value:.3f} ± {score.stderr:.3f}" if score.stderr else f"{score.value:.3f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
