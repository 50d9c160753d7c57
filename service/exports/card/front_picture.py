"""The picture of a card: all candidates by their scores, and the exported one among them."""

from __future__ import annotations

import io
from collections.abc import Sequence

from evaluators import Split
from service.reports.views import FrontPoint, FrontView

PICTURE_FILE = "evomerge_front.png"
_INCHES, _DOTS = (6.4, 4.8), 120
_GREY, _BLUE, _ORANGE, _RED = "#b3b3b3", "#0072b2", "#e69f00", "#d55e00"


def front_picture(view: FrontView, number: int) -> bytes | None:
    """Returns a PNG of the search split's scores in the first two objectives (one: by number of candidate).

    Args:
        view: The front on the search split.
        number: The exported candidate's.

    Returns:
        None where the candidate has no scores there.
    """
    points = {point.number: point for point in (*view.dominated, *view.baselines, *view.front)}
    if number not in points:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, dpi=_DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    names = [objective.name for objective in view.objectives][:2]
    groups: tuple[tuple[str, Sequence[FrontPoint], str, str, float], ...] = (
        ("other candidates", view.dominated, _GREY, "o", 12),
        ("front", view.front, _BLUE, "o", 22),
        ("parents and usual recipes", view.baselines, _ORANGE, "s", 28),
        ("this model", (points[number],), _RED, "*", 160),
    )
    for label, members, colour, marker, size in groups:
        places = [place for place in (_place(point, names, view.split) for point in members) if place]
        if places:
            across, up = zip(*places, strict=True)
            axes.scatter(across, up, s=size, c=colour, marker=marker, label=label)
    axes.set_xlabel(_plain(names[0]) if len(names) > 1 else "candidate")
    axes.set_ylabel(_plain(names[-1]))
    axes.set_title(f"Scores on the {view.split} split, which the search climbed (optimistic)", fontsize=10)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _place(point: FrontPoint, names: Sequence[str], split: Split) -> tuple[float, float] | None:
    values = {score.benchmark: score.value for score in point.scores.get(split, ())}
    found = [values[name] for name in names if name in values]
    if len(found) < len(names):
        return None
    return (found[0], found[1]) if len(found) > 1 else (float(point.number), found[0])


def _plain(name: str) -> str:
    """Returns a name that matplotlib reads as no formula."""
    return name.replace("$", r"\$")
