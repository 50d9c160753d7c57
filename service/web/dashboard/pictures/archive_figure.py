"""The archive of a quality-diversity search as a picture: cells over the measures, and their elites."""

from __future__ import annotations

import html
from collections.abc import Sequence

import plotly.graph_objects as go

from service.reports.search_views import ArchiveView, CellView, MeasureView
from service.web.dashboard.formats import score
from service.web.dashboard.pictures.figures import course_line, or_nothing, two_courses
from service.web.dashboard.pictures.plane import PALETTES, Palette, Theme, axis, plain_layout

_SCALES: dict[Theme, list[tuple[float, str]]] = {
    "light": [(0.0, "#deebf7"), (0.5, "#6baed6"), (1.0, "#08519c")],
    "dark": [(0.0, "#16304b"), (0.5, "#2a7fd0"), (1.0, "#b9dcff")],
}


def archive_figure(view: ArchiveView, *, share: bool = False, theme: Theme = "light") -> go.Figure:
    """Draws the elites' quality over the first two measures; of several in one place, the best.

    Args:
        view: The archive.
        share: Whether qualities are read in percent.
        theme: Whose colours.
    """
    palette = PALETTES[theme]
    best = _best_in_place(view.cells)
    if not best:
        figure = or_nothing(go.Figure([], plain_layout(palette)))
    elif len(view.measures) == 1:
        figure = _bars(view.measures[0], best, palette, share=share)
    else:
        figure = _map(view.measures[0], view.measures[1], best, theme, share=share)
    return figure.update_layout(meta={"description": describe_archive(view)})


def archive_course_figure(view: ArchiveView, *, theme: Theme = "light") -> go.Figure:
    """Draws how coverage and QD-score grew over the candidates."""
    palette = PALETTES[theme]
    x = [point.candidates for point in view.course]
    coverage = course_line(
        palette.front, "Coverage", x, [point.coverage for point in view.course], share=True
    )
    score = course_line(palette.winner, "QD-score", x, [point.qd_score for point in view.course])
    layout = two_courses(palette, "Candidates taken in", "Coverage", "QD-score", shares=(True, False))
    figure = or_nothing(go.Figure([coverage, score.update(yaxis="y2")] if x else [], layout))
    said = f"; coverage {view.coverage:.0%} and QD-score {view.qd_score:.4g} at last" if x else ""
    return figure.update_layout(meta={"description": f"Coverage and QD-score over {len(x)} points{said}."})


def describe_archive(view: ArchiveView) -> str:
    """Says in a sentence what the picture shows."""
    names = " and ".join(measure.name for measure in view.measures[:2])
    more = f", the best over {len(view.measures) - 2} further measures" if len(view.measures) > 2 else ""
    return f"{len(view.cells)} elites over {names}{more}; {view.coverage:.0%} of the cells are filled."


def _best_in_place(cells: Sequence[CellView]) -> dict[tuple[int, ...], CellView]:
    best: dict[tuple[int, ...], CellView] = {}
    for cell in sorted(cells, key=lambda cell: cell.quality):
        best[tuple(cell.cell[:2])] = cell
    return best


def _bars(
    measure: MeasureView, best: dict[tuple[int, ...], CellView], palette: Palette, *, share: bool
) -> go.Figure:
    cells = sorted(best.values(), key=lambda cell: cell.cell)
    bars = go.Bar(
        x=[_middle(measure, cell.cell[0]) for cell in cells],
        y=[cell.quality for cell in cells],
        width=_width(measure) * 0.92,
        marker={"color": palette.front},
        customdata=[cell.number for cell in cells],
        hovertext=[_hover(cell, [measure], share=share) for cell in cells],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    layout = plain_layout(palette) | {
        "xaxis": axis(palette, html.escape(measure.name)) | {"range": [measure.low, measure.high]},
        "yaxis": axis(palette, "Best mean", share=share),
    }
    return go.Figure([bars], layout)


def _map(
    across: MeasureView,
    up: MeasureView,
    best: dict[tuple[int, ...], CellView],
    theme: Theme,
    *,
    share: bool,
) -> go.Figure:
    palette = PALETTES[theme]
    rows = [[best.get((x, y)) for x in range(across.cells)] for y in range(up.cells)]
    heat = go.Heatmap(
        x=[_middle(across, x) for x in range(across.cells)],
        y=[_middle(up, y) for y in range(up.cells)],
        z=[[None if cell is None else cell.quality for cell in row] for row in rows],
        customdata=[[None if cell is None else cell.number for cell in row] for row in rows],
        text=[
            ["" if cell is None else _hover(cell, [across, up], share=share) for cell in row] for row in rows
        ],
        hovertemplate="%{text}<extra></extra>",
        hoverongaps=False,
        xgap=1,
        ygap=1,
        colorscale=_SCALES[theme],
        colorbar={
            "title": {"text": "Mean", "side": "right"},
            "thickness": 12,
            "outlinewidth": 0,
            "tickformat": ".0%" if share else None,
        },
    )
    layout = plain_layout(palette) | {
        "xaxis": axis(palette, html.escape(across.name)) | {"range": [across.low, across.high]},
        "yaxis": axis(palette, html.escape(up.name)) | {"range": [up.low, up.high]},
    }
    # Cells that nothing fills are seen as cells, not as ground.
    empty = go.Heatmap(
        x=heat.x,
        y=heat.y,
        z=[[0.0] * across.cells for _ in range(up.cells)],
        colorscale=[(0.0, palette.grid), (1.0, palette.grid)],
        showscale=False,
        hoverinfo="skip",
        xgap=1,
        ygap=1,
    )
    return go.Figure([empty, heat], layout)


def _width(measure: MeasureView) -> float:
    return (measure.high - measure.low) / measure.cells


def _middle(measure: MeasureView, cell: int) -> float:
    return measure.low + (cell + 0.5) * _width(measure)


def _hover(cell: CellView, measures: Sequence[MeasureView], *, share: bool) -> str:
    name = f"#{cell.number}" if cell.label is None else html.escape(cell.label)
    lines = [
        f"{html.escape(measure.name)}: {value:.3g}"
        for measure, value in zip(measures, cell.measures, strict=False)
    ]
    return "<br>".join([f"<b>{name}</b>", f"mean {score(cell.quality, share)}", *lines])
