"""A candidate's family tree: ancestors to the left, those it was made of next to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.reports.search_views import LineageNode, LineageView
from service.web.dashboard.formats import with_error

COLUMN, ROW, MARGIN = 92.0, 30.0, 22.0  # units of the picture
MOST_DRAWN = 80  # nearest first; the JSON twin holds all of them


@dataclass(frozen=True, slots=True)
class Person:
    """A candidate in the tree; `heat` is its place among the tree's means, in percent."""

    number: int
    x: float
    y: float
    text: str
    title: str
    role: str
    heat: int


@dataclass(frozen=True, slots=True)
class Line:
    """From an ancestor to what was made of it."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class LineagePicture:
    """What the page draws as SVG; `left_out` counts the ancestors that are not in it."""

    width: float
    height: float
    people: tuple[Person, ...]
    lines: tuple[Line, ...]
    left_out: int
    description: str


def lineage_picture(view: LineageView) -> LineagePicture | None:
    """Returns the tree of a candidate; None for one without ancestors."""
    nodes = {node.number: node for node in view.nodes}
    if not nodes[view.candidate].ancestors:
        return None
    depths = _depths(nodes, view.candidate)
    nearest = sorted(depths, key=lambda number: (depths[number], -number))[:MOST_DRAWN]
    columns: dict[int, list[int]] = {}
    for number in nearest:
        columns.setdefault(depths[number], []).append(number)
    deepest, tallest = max(columns), max(map(len, columns.values()))
    height = 2 * MARGIN + (tallest - 1) * ROW
    places = {
        number: (
            MARGIN + 24 + (deepest - depth) * COLUMN,
            height / 2 + (i - (len(column) - 1) / 2) * ROW,
        )
        for depth, column in columns.items()
        for i, number in enumerate(sorted(column))
    }
    lines = tuple(
        Line(*places[ancestor], *places[number])
        for number in nearest
        for ancestor in nodes[number].ancestors
        if ancestor in places
    )
    heats = _heats([nodes[number] for number in nearest])
    return LineagePicture(
        width=2 * MARGIN + 48 + deepest * COLUMN,
        height=height,
        people=tuple(
            _person(nodes[n], places[n], heats.get(n, 0), chosen=n == view.candidate) for n in nearest
        ),
        lines=lines,
        left_out=len(nodes) - len(nearest),
        description=f"Candidate {view.candidate} descends from {len(nodes) - 1} others"
        f" over {deepest} steps; it was made by {nodes[view.candidate].operator or 'no operator'}.",
    )


def _depths(nodes: dict[int, LineageNode], start: int) -> dict[int, int]:
    """Returns the longest way of each ancestor to the candidate; ancestors always have smaller numbers."""
    depths = {start: 0}
    for number in sorted(nodes, reverse=True):
        if number not in depths:
            continue
        for ancestor in nodes[number].ancestors:
            if ancestor in nodes and ancestor < number:
                depths[ancestor] = max(depths.get(ancestor, 0), depths[number] + 1)
    return depths


def _person(node: LineageNode, place: tuple[float, float], heat: int, *, chosen: bool) -> Person:
    name = node.label or f"candidate {node.number}"
    told = [f"{found.benchmark} {with_error(found)}" for found in node.scores]
    made = [f"by {node.operator}"] if node.operator else []
    role = "chosen" if chosen else "baseline" if node.label else "evolved"
    return Person(node.number, *place, f"#{node.number}", "; ".join([name, *made, *told]), role, heat)


def _heats(nodes: Sequence[LineageNode]) -> dict[int, int]:
    """Returns where each node's mean fitness lies between the tree's worst (0) and best (60 percent)."""
    means = {
        node.number: sum(s.value if s.higher_is_better else -s.value for s in node.scores) / len(node.scores)
        for node in nodes
        if node.scores
    }
    low, high = min(means.values(), default=0.0), max(means.values(), default=0.0)
    return {n: round((mean - low) / (high - low) * 60) if high > low else 0 for n, mean in means.items()}
