"""The way that a token takes through a stacked model: which layer of which parent comes when."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces import Recipe
from search_spaces.spaces.stacking.layer_path import StackedLayer, stacking_path
from service.experiment.spec import label_of

COLUMN, ROW, MARGIN = 18.0, 13.0, 28.0  # units of the picture, per step, layer and border
MOST_COLOURS = 6  # more parents share the last one; their names stand in the marks' titles
_NO_CHANGE = 1.0


@dataclass(frozen=True, slots=True)
class Mark:
    """One step: a dot at (step, layer)."""

    x: float
    y: float
    colour: int
    title: str
    scaled: bool


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
    """

    width: float
    height: float
    marks: tuple[Mark, ...]
    line: str
    steps: tuple[Tick, ...]
    layers: tuple[Tick, ...]
    parents: tuple[str, ...]
    description: str


def stacking_picture(recipe: Recipe, layers: int) -> StackingPicture | None:
    """Returns the path through a model; None where the layers come once, in order, from the same parents."""
    path = stacking_path(recipe, layers)
    if not path or _is_plain(path):
        return None
    parents = tuple(dict.fromkeys(_owner(step) for step in path))
    deepest = max(step.layer for step in path)
    height = MARGIN + deepest * ROW + MARGIN
    marks = tuple(_mark(step, parents, height) for step in path)
    return StackingPicture(
        width=MARGIN + (len(path) - 1) * COLUMN + MARGIN,
        height=height,
        marks=marks,
        line=" ".join(f"{mark.x:g},{mark.y:g}" for mark in marks),
        steps=tuple(Tick(_x(i), str(i)) for i in _ticks(len(path) - 1)),
        layers=tuple(Tick(_y(i, height), str(i)) for i in _ticks(deepest)),
        parents=parents,
        description=_describe(path, parents),
    )


def _is_plain(path: tuple[StackedLayer, ...]) -> bool:
    same = len({_owner(step) for step in path}) == 1
    return same and all(step.layer == i and step.scale == _NO_CHANGE for i, step in enumerate(path))


def _owner(step: StackedLayer) -> str:
    return " + ".join(label_of(parent) for parent in step.parents)


def _mark(step: StackedLayer, parents: tuple[str, ...], height: float) -> Mark:
    owner = _owner(step)
    scale = "" if step.scale == _NO_CHANGE else f", input times {step.scale:.3g}"
    return Mark(
        x=_x(step.step),
        y=_y(step.layer, height),
        colour=min(parents.index(owner), MOST_COLOURS - 1),
        title=f"step {step.step}: layer {step.layer} of {owner}{scale}",
        scaled=step.scale != _NO_CHANGE,
    )


def _x(step: int) -> float:
    return MARGIN + step * COLUMN


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
