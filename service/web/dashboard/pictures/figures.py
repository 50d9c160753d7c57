"""Plotly figures as pure functions of views.  They know neither the database nor the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from service.experiment.objectives import ObjectiveFacts
from service.reports.views import FrontView, ProgressView
from service.web.dashboard.formats import all_shares, score
from service.web.dashboard.pictures.plane import PALETTES, Palette, Plane, Theme, axis, plain_layout

__all__ = ["Theme", "best_so_far_figure", "describe_front", "front_figure", "or_nothing", "progress_figure"]


def front_figure(view: FrontView, x: str, y: str, *, theme: Theme = "light") -> go.Figure:
    """Draws the front against two of its objectives, with everything it is to be compared to."""
    plane = Plane(view, x, y, theme)
    marks = (plane.front(), plane.baselines(), plane.parents(), plane.winner())
    traces = (plane.cloud(), _front_line(plane), *marks)
    layout = plane.layout | {"meta": {"description": describe_front(view, x, y)}}
    return or_nothing(go.Figure([trace for trace in traces if trace is not None], layout))


def best_so_far_figure(view: FrontView, *, theme: Theme = "light") -> go.Figure:
    """Draws the only objective over the candidates: every score, and the best up to each."""
    plane = Plane(view, None, view.objectives[0].name, theme)
    marks = (plane.front(), plane.baselines(), plane.parents(), plane.winner())
    line = _best_line(plane)
    traces = (plane.cloud(), line if line.x else None, *marks)
    layout = plane.layout | {"meta": {"description": describe_front(view, plane.y.name, plane.y.name)}}
    return or_nothing(go.Figure([trace for trace in traces if trace is not None], layout))


def progress_figure(
    progress: ProgressView, objectives: Sequence[ObjectiveFacts], *, theme: Theme = "light"
) -> go.Figure:
    """Draws hypervolume and best weighted mean over the candidates, one above the other."""
    palette, share = PALETTES[theme], all_shares(objectives)
    points = progress.hypervolume
    settled = [point.candidates for point in points]
    volume = course_line(palette.front, "Hypervolume", settled, [point.hypervolume for point in points])
    best = course_line(palette.winner, "Best mean", settled, [point.best for point in points], share=share)
    best.update(yaxis="y2", marker_symbol="square")
    layout = two_courses(palette, "Candidates settled", "Hypervolume", "Best mean", shares=(False, share))
    figure = or_nothing(go.Figure([volume, best] if points else [], layout))
    if points and progress.best_baseline is not None:
        _add_baseline(figure, progress.best_baseline, palette, share=share)
    return figure


def two_courses(
    palette: Palette, x: str, above: str, below: str, *, shares: tuple[bool, bool]
) -> dict[str, Any]:
    """Returns the layout of two courses over the same axis, one above the other."""
    return plain_layout(palette) | {
        "showlegend": False,
        "xaxis": axis(palette, x) | {"anchor": "y2", "rangemode": "tozero"},
        "yaxis": axis(palette, above, share=shares[0]) | {"domain": [0.56, 1.0], "rangemode": "tozero"},
        "yaxis2": axis(palette, below, share=shares[1]) | {"domain": [0.0, 0.46]},
    }


def or_nothing(figure: go.Figure) -> go.Figure:
    """Returns the figure; one without anything to draw says so instead of showing axes."""
    if figure.data:
        return figure
    hidden = {name: {"visible": False} for name in ("xaxis", "yaxis")}
    said = {"text": "Nothing is scored yet.", "showarrow": False, "xref": "paper", "yref": "paper"}
    return figure.update_layout(**hidden, annotations=[said | {"x": 0.5, "y": 0.5, "font": {"size": 14}}])


def describe_front(view: FrontView, x: str, y: str) -> str:
    """Says in a sentence what the front's picture shows, for people who do not see it.

    It travels in the figure (`layout.meta`), so that the page need not load all candidates for it.
    """
    evolved = sum(1 for point in view.front if not point.kind.is_baseline)
    axes = f"{y} over candidates" if x == y else f"{y} against {x}"
    text = (
        f"{axes} on the {view.split} split: a front of {view.front_total} candidates, {evolved} of them "
        f"evolved, {view.dominated_total} dominated ones and {len(view.baselines)} baselines"
    )
    return text + (f"; candidate {view.winner} is the winner." if view.winner is not None else ".")


def _front_line(plane: Plane) -> go.Scatter | None:
    """The border of what the front dominates; only two objectives have one that can be drawn."""
    places = sorted(place for point in plane.view.front if (place := plane.place(point)) is not None)
    if plane.x is None or len(plane.view.objectives) != 2 or len(places) < 2:
        return None
    # Which way the border steps follows from which side of a point is the worse one.
    shape = "vh" if plane.x.higher_is_better else "hv"
    return go.Scatter(
        name="Front line",
        x=[place[0] for place in places],
        y=[place[1] for place in places],
        mode="lines",
        line={"shape": shape, "color": plane.palette.front, "width": 1.5},
        hoverinfo="skip",
        showlegend=False,
    )


def _best_line(plane: Plane) -> go.Scatter:
    places = sorted(place for point in plane.all_points if (place := plane.place(point)) is not None)
    better = max if plane.y.higher_is_better else min
    best: list[float] = []
    for _, value in places:
        best.append(better(best[-1], value) if best else value)
    return go.Scatter(
        name="Best so far",
        x=[place[0] for place in places],
        y=best,
        mode="lines",
        line={"shape": "hv", "color": plane.palette.front, "width": 2},
        hoverinfo="skip",
    )


def course_line(
    color: str, name: str, x: Sequence[int], y: Sequence[float | None], *, share: bool = False
) -> go.Scatter:
    """Returns a line that steps from candidate to candidate."""
    value = "%{y:.1%}" if share else "%{y:.4g}"
    return go.Scatter(
        name=name,
        x=list(x),
        y=list(y),
        mode="lines+markers",
        line={"shape": "hv", "width": 2, "color": color},
        marker={"size": 5},
        hovertemplate=f"%{{x}} candidates<br>{name.lower()} {value}<extra></extra>",
    )


def _add_baseline(figure: go.Figure, value: float, palette: Palette, *, share: bool) -> None:
    figure.add_hline(y=value, yref="y2", line={"dash": "dash", "width": 1, "color": palette.baseline})
    figure.add_annotation(
        text=f"best baseline {score(value, share)}",
        x=1,
        xref="paper",
        xanchor="right",
        y=value,
        yref="y2",
        yanchor="bottom",
        showarrow=False,
        font={"size": 11, "color": palette.baseline},
    )
