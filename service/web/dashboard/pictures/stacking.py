"""The way that a token takes through a stacked model: which layer of which parent comes when."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from search_spaces import Recipe
from search_spaces.spaces.stacking.layer_path import StackedLayer, stacking_path
from service.experiment.spec import label_of

ROW, MARGIN = 13.0, 28.0  # units of the picture, per layer and border
WIDTH, NARROWEST, WIDEST = 1000.0, 18.0, 72.0  # of the picture, and of one step
MOST_COLOURS = 6  # more parents share the last one; their names stand in the marks' titles
_NO_CHANGE = 1.0
_ROOM_FOR_SCALES = 26.0  # units per step, from which scales can be read


@dataclass(frozen=True, slots=True)
class Mark:
    """One step: a dot at (step, layer); `scale` is written beside it, empty for none."""

    x: float
    y: float
    colour: int
    title: str
    scaled: bool
    scale: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A number at an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class StackingPicture:
    """What the page draws as SVG, and says in words.

    Attributes:
        parents: Whose layers they are; a mark's colour is a place in this list.
        course: Which layers come several times, and which never.
    """

    width: float
    height: float
    marks: tuple[Mark, ...]
    line: str
    steps: tuple[Tick, ...]
    layers: tuple[Tick, ...]
    parents: tuple[str, ...]
    description: str
    course: str


def stacking_picture(recipe: Recipe, layers: int) -> StackingPicture | None:
    """Returns the path through a model; None where the layers come once, in order, from the same parents."""
    path = stacking_path(recipe, layers)
    if not path or _is_plain(path):
        return None
    parents = tuple(dict.fromkeys(_owner(step) for step in path))
    deepest = max(step.layer for step in path)
    height = MARGIN + deepest * ROW + MARGIN
    column = min(max((WIDTH - 2 * MARGIN) / max(len(path) - 1, 1), NARROWEST), WIDEST)
    marks = tuple(_mark(step, parents, column, height) for step in path)
    return StackingPicture(
        width=MARGIN + (len(path) - 1) * column + MARGIN,
        height=height,
        marks=marks,
        line=" ".join(f"{mark.x:g},{mark.y:g}" for mark in marks),
        steps=tuple(Tick(_x(i, column), str(i)) for i in _ticks(len(path) - 1)),
        layers=tuple(Tick(_y(i, height), str(i)) for i in _ticks(deepest)),
        parents=parents,
        description=_describe(path, parents),
        course=_course(path, layers),
    )


def _is_plain(path: tuple[StackedLayer, ...]) -> bool:
    same = len({_owner(step) for step in path}) == 1
    return same and all(step.layer == i and step.scale == _NO_CHANGE for i, step in enumerate(path))


def _owner(step: StackedLayer) -> str:
    return " + ".join(label_of(parent) for parent in step.parents)


def _mark(step: StackedLayer, parents: tuple[str, ...], column: float, height: float) -> Mark:
    owner = _owner(step)
    scale = "" if step.scale == _NO_CHANGE else f", input times {step.scale:.3g}"
    return Mark(
        x=_x(step.step, column),
        y=_y(step.layer, height),
        colour=min(parents.index(owner), MOST_COLOURS - 1),
        title=f"step {step.step}: layer {step.layer} of {owner}{scale}",
        scaled=step.scale != _NO_CHANGE,
        scale="" if step.scale == _NO_CHANGE or column < _ROOM_FOR_SCALES else f"{step.scale:.2g}",
    )


def _x(step: int, column: float) -> float:
    return MARGIN + step * column


def _y(layer: int, height: float) -> float:
    return height - MARGIN - layer * ROW


def _ticks(last: int) -> list[int]:
    """Returns about eight round numbers from 0 to the last, which is among them."""
    step = max(round(last / 8), 1)
    return [*(n for n in range(0, last, step) if last - n >= step / 2), last]


def _describe(path: tuple[StackedLayer, ...], parents: tuple[str, ...]) -> str:
    shares = (f"{sum(_owner(step) == owner for step in path)} of {owner}" for owner in parents)
    scaled = sum(step.scale != _NO_CHANGE for step in path)
    return f"{len(path)} layers: {', '.join(shares)}; {scaled} with a scaled input"


def _course(path: tuple[StackedLayer, ...], layers: int) -> str:
    """Says which layers a model has several times, and which it skips, parent by parent."""
    said = []
    for owner in dict.fromkeys(map(_owner, path)):
        taken = Counter(step.layer for step in path if _owner(step) == owner)
        again = [f"{layer}" for layer, times in sorted(taken.items()) if times > 1]
        if again:
            said.append(f"Repeated of {owner}: {', '.join(again)}.")
    used = {step.layer for step in path}
    if skipped := [str(layer) for layer in range(layers) if layer not in used]:
        said.append(f"Skipped in all parents: {', '.join(skipped)}.")
    return " ".join(said)
