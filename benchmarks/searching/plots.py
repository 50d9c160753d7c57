"""Draws what the search benchmark found: each figure as PNG (matplotlib) and as HTML (plotly)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from benchmarks.searching.demo import Course
from benchmarks.searching.miniatures import MiniatureResult

_POINTS = 200


@dataclass(frozen=True, slots=True)
class Curve:
    """One line: y over x."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Figure:
    """What both writers draw."""

    name: str
    title: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    logarithmic: bool = False


def demo_figures(courses: Mapping[str, Course]) -> list[Figure]:
    """Returns held-out score over evaluations, and over seconds: of each contestant the mean over seeds."""
    shown = [course for course in courses.values() if course.steps]
    return [
        Figure(
            f"held_out_by_{unit}",
            "Held-out score of the best candidate so far, mean over seeds",
            unit,
            "held-out score",
            tuple(_curve(course, unit) for course in shown),
            logarithmic=unit == "seconds",
        )
        for unit in ("evaluations", "seconds")
    ]


def _curve(course: Course, unit: str) -> Curve:
    late = course.told.startup if unit == "seconds" else 1.0
    runs = [
        [((s.seconds if unit == "seconds" else s.evaluation) + late, s.held_out) for s in run]
        for run in course.steps
    ]
    ends = [
        trials[-1].seconds + late if unit == "seconds" else float(len(trials))
        for trials in course.told.trials.values()
    ]
    x = np.linspace(max(run[0][0] for run in runs), max(ends), _POINTS)
    y = np.mean([[_at(run, place) for place in x] for run in runs], axis=0)
    return Curve(course.told.name, x.tolist(), y.tolist())


def _at(run: Sequence[tuple[float, float]], place: float) -> float:
    return [value for at, value in run if at <= place][-1]


def write_figures(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Writes every figure in both formats; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for figure in figures:
        written += [_write_png(figure, folder), _write_html(figure, folder)]
    return written


def write_bars(results: Sequence[MiniatureResult], folder: Path) -> list[Path]:
    """Writes a bar chart of each miniature; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    written = []
    for result in results:
        names = list(result.scores)
        means = [float(np.mean(result.scores[n])) for n in names]
        errors = [float(np.std(result.scores[n]) / np.sqrt(len(result.scores[n]))) for n in names]
        stem = folder / result.name.replace(", ", "_").replace(" ", "_")
        drawn, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
        axes.barh(names[::-1], means[::-1], xerr=errors[::-1])
        axes.set(title=result.name, xlabel="test accuracy")
        drawn.savefig(f"{stem}.png", dpi=90)
        plt.close(drawn)
        bars = go.Bar(y=names, x=means, error_x={"array": errors}, orientation="h")
        page = go.Figure(bars, {"title": result.name, "xaxis": {"title": "test accuracy"}})
        page.write_html(f"{stem}.html")
        written += [Path(f"{stem}.png"), Path(f"{stem}.html")]
    return written


def _write_png(figure: Figure, folder: Path) -> Path:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    drawn, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for place, curve in enumerate(figure.curves):
        axes.plot(curve.x, curve.y, label=curve.name, linestyle=("-", "--", ":")[place % 3])
    if figure.logarithmic:
        axes.set_xscale("log")
    axes.set(title=figure.title, xlabel=figure.x, ylabel=figure.y)
    axes.legend(fontsize="small", ncols=2)
    path = folder / f"{figure.name}.png"
    drawn.savefig(path, dpi=90)
    plt.close(drawn)
    return path


def _write_html(figure: Figure, folder: Path) -> Path:
    page = go.Figure(
        [go.Scatter(x=list(c.x), y=list(c.y), name=c.name, mode="lines") for c in figure.curves],
        {
            "title": figure.title,
            "xaxis": {"title": figure.x, "type": "log" if figure.logarithmic else "linear"},
            "yaxis": {"title": figure.y},
        },
    )
    path = folder / f"{figure.name}.html"
    page.write_html(path)
    return path
