"""Plane: two axes, and how candidates become marks on them.

All names are attackers' text: plotly reads a little markup in its labels, so every text is escaped
before it becomes part of a figure.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import plotly.graph_objects as go

from evaluators import Split
from service.experiment.candidate import CandidateKind
from service.experiment.objectives import ObjectiveFacts
from service.reports.views import CandidateView, FrontPoint, FrontView, ScoreView
from service.web.dashboard.formats import is_share, with_error

Theme = Literal["light", "dark"]
Point = FrontPoint | CandidateView
MOST_POINTS = 1_000  # the page of the front draws all
MOST_ON_FRONT = 200
_LONGEST_LABEL = 26


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one theme; the hues are Okabe and Ito's, which colour-blind people can tell apart."""

    text: str
    grid: str
    front: str
    cloud: str
    parent: str
    baseline: str
    winner: str


PALETTES: dict[Theme, Palette] = {
    "light": Palette("#33383f", "#e3e6ea", "#0072b2", "#8b95a1", "#c44e00", "#8c5a9e", "#00805c"),
    "dark": Palette("#cfd5dc", "#30363d", "#56b4e9", "#7d8894", "#ff9a4d", "#d9a3d9", "#2fd3a3"),
}


def score_of(point: Point, name: str, split: Split) -> ScoreView | None:
    """Returns a candidate's score on one objective and split, if it was evaluated there."""
    return next((found for found in point.scores.get(split, []) if found.benchmark == name), None)


class Plane:
    """Draws candidates as marks: one shape and colour per kind, so that either tells them apart.

    Args:
        x: The objective across; None puts the candidates' numbers there.
    """

    def __init__(self, view: FrontView, x: str | None, y: str, theme: Theme) -> None:
        by_name = {objective.name: objective for objective in view.objectives}
        self.view, self.palette = view, PALETTES[theme]
        self.x, self.y = by_name[x] if x is not None else None, by_name[y]
        self.all_points = (
            *view.baselines,
            *(p for p in view.front if not p.kind.is_baseline),
            *view.dominated,
        )
        xs = [place[0] for point in self.all_points if (place := self.place(point))]
        self._middle = (min(xs) + max(xs)) / 2 if xs else 0.0

    @property
    def layout(self) -> dict[str, Any]:
        """The layout of a figure with these axes."""
        across = (
            axis(self.palette, "Candidate")
            if self.x is None
            else axis(self.palette, _title(self.x), share=is_share(self.x.metric))
        )
        up = axis(self.palette, _title(self.y), share=is_share(self.y.metric))
        return plain_layout(self.palette) | {"xaxis": across, "yaxis": up}

    def place(self, point: FrontPoint) -> tuple[float, float] | None:
        """Returns where a candidate lies, or None where it has no scores."""
        y = score_of(point, self.y.name, self.view.split)
        if self.x is None:
            return None if y is None else (point.number, y.value)
        x = score_of(point, self.x.name, self.view.split)
        return None if x is None or y is None else (x.value, y.value)

    def cloud(self) -> go.Scatter | None:
        """Evolved candidates off the front, faint; the newest where there are too many to draw."""
        others = [p for p in self.view.dominated if p.number != self.view.winner]
        shown = others[-MOST_POINTS:]
        left_out = f" (newest {len(shown):,})" if len(shown) + 1 < self.view.dominated_total else ""
        placed = [(point.number, place) for point in shown if (place := self.place(point)) is not None]
        if not placed:
            return None
        # Thousands of marks: what is said of each follows from its place, and travels once.
        across = "" if self.x is None else f"{html.escape(self.x.name)}: %{{x{_form(self.x)}}}<br>"
        return go.Scatter(
            name=f"Dominated{left_out}",
            x=[place[0] for _, place in placed],
            y=[place[1] for _, place in placed],
            mode="markers",
            marker={"symbol": "circle", "color": self.palette.cloud, "size": 5},
            customdata=[number for number, _ in placed],
            hovertemplate=f"<b>#%{{customdata}}</b><br>{across}"
            f"{html.escape(self.y.name)}: %{{y{_form(self.y)}}}<extra></extra>",
            opacity=0.5,
            cliponaxis=False,
        )

    def front(self) -> go.Scatter | None:
        """Evolved candidates on the front."""
        points = [p for p in self.view.front if not p.kind.is_baseline and p.number != self.view.winner]
        left_out = f" (best {len(self.view.front):,})" if len(self.view.front) < self.view.front_total else ""
        return self._marks(f"Front{left_out}", points, "circle", self.palette.front, size=9)

    def baselines(self) -> go.Scatter | None:
        """Merges that no optimizer proposed."""
        points = [
            p
            for p in self.view.baselines
            if p.kind is not CandidateKind.PARENT and p.number != self.view.winner
        ]
        return self._marks("Baselines", points, "square", self.palette.baseline, size=8)

    def parents(self) -> go.Scatter | None:
        """The parents as they are, named."""
        points = [p for p in self.view.baselines if p.kind is CandidateKind.PARENT]
        trace = self._marks("Parents", points, "diamond", self.palette.parent, size=12)
        return None if trace is None else trace.update(mode="markers+text")

    def winner(self) -> go.Scatter | None:
        """The candidate that the selection split picked, starred."""
        points = [p for p in self.all_points if p.number == self.view.winner]
        trace = self._marks("Winner", points, "star", self.palette.winner, size=18)
        return None if trace is None else trace.update(mode="markers+text", textposition="top right")

    def _marks(
        self, name: str, points: Sequence[FrontPoint], symbol: str, color: str, *, size: int
    ) -> go.Scatter | None:
        placed = [(point, place) for point in points if (place := self.place(point)) is not None]
        if not placed:
            return None
        bar = {"color": color, "thickness": 1, "width": 3}
        across = None if self.x is None else bar | {"array": self._errors(placed, self.x)}
        return go.Scatter(
            name=name,
            x=[place[0] for _, place in placed],
            y=[place[1] for _, place in placed],
            error_x=across,
            error_y=bar | {"array": self._errors(placed, self.y)},
            mode="markers",
            marker={"symbol": symbol, "color": color, "size": size},
            text=[label_of(point) for point, _ in placed],
            # Labels point into the picture, so that none is cut off at its edge.
            textposition=["top right" if place[0] < self._middle else "top left" for _, place in placed],
            textfont={"color": color, "size": 12},
            customdata=[point.number for point, _ in placed],
            hovertext=[self._hover(point) for point, _ in placed],
            hovertemplate="%{hovertext}<extra></extra>",
            cliponaxis=False,
        )

    def _errors(
        self, placed: Sequence[tuple[FrontPoint, tuple[float, float]]], objective: ObjectiveFacts
    ) -> list[float]:
        found = (score_of(point, objective.name, self.view.split) for point, _ in placed)
        return [0.0 if score is None else score.stderr for score in found]

    def _hover(self, point: FrontPoint) -> str:
        scores = point.scores.get(self.view.split, [])
        lines = [f"{html.escape(score.benchmark)}: {with_error(score)}" for score in scores]
        return "<br>".join([f"<b>{label_of(point)}</b>", *lines])


def _form(objective: ObjectiveFacts) -> str:
    return ":.1%" if is_share(objective.metric) else ":.4g"


def label_of(point: FrontPoint) -> str:
    """Returns what a mark is called, escaped."""
    text = f"#{point.number}" if point.label is None else point.label.removeprefix("parent:").strip()
    if len(text) > _LONGEST_LABEL:
        text = text[: _LONGEST_LABEL - 1] + "…"
    return html.escape(text)


def axis(palette: Palette, title: str, *, share: bool = False) -> dict[str, Any]:
    """Returns an axis; shares are written in percent."""
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": palette.grid,
        "linecolor": palette.grid,
        "zeroline": False,
        "automargin": True,
        "tickformat": ".0%" if share else None,
        "nticks": 7,
    }


def plain_layout(palette: Palette) -> dict[str, Any]:
    """Returns what all figures share; the page's background shows through."""
    return {
        "template": go.layout.Template(),
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": palette.text, "family": "system-ui, sans-serif", "size": 13},
        "margin": {"l": 56, "r": 16, "t": 28, "b": 48},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemsizing": "constant"},
        "hovermode": "closest",
        "uirevision": "kept",
    }


def _title(objective: ObjectiveFacts) -> str:
    direction = "" if objective.higher_is_better else ", lower is better"
    return f"{html.escape(objective.name)} ({html.escape(objective.metric.split(',')[0])}{direction})"
