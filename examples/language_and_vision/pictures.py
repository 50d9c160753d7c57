"""Draws things: 16 x 16 points, the thing in one of four fields, noise all over."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from examples.language_and_vision.world import KINDS, Thing

SIDE, FIELD = 16, 8
_NOISE = 12.0  # of 255
_COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 190, 60),
    "blue": (50, 70, 220),
    "yellow": (225, 210, 50),
    "purple": (150, 40, 170),
    "white": (235, 235, 235),
}
_CORNERS = {"north": (0, 0), "east": (0, FIELD), "south": (FIELD, FIELD), "west": (FIELD, 0)}


def draw(thing: Thing, rng: np.random.Generator) -> Image.Image:
    """Returns a picture of a thing, never the same twice."""
    points = np.full((SIDE, SIDE, 3), 30.0)
    row, column = _CORNERS[thing.place]
    mask = _mask(thing.shape)
    field = points[row : row + FIELD, column : column + FIELD]
    field[mask] = np.array(_COLOURS[thing.colour]) * rng.uniform(0.85, 1.0)
    points += rng.normal(0.0, _NOISE, points.shape)
    return Image.fromarray(points.clip(0, 255).astype(np.uint8))


def _mask(shape: str) -> NDArray[np.bool_]:
    """Returns which points of a field a shape covers."""
    y, x = np.mgrid[0:FIELD, 0:FIELD] - (FIELD - 1) / 2
    masks = {
        "disc": x**2 + y**2 <= 9,
        "square": (abs(x) <= 3) & (abs(y) <= 3),
        "cross": ((abs(x) <= 1) | (abs(y) <= 1)) & (abs(x) <= 3) & (abs(y) <= 3),
        "bar": (abs(x) <= 1) & (abs(y) <= 3.5),
    }
    found: NDArray[np.bool_] = masks[shape]
    return found


assert set(_COLOURS) == set(KINDS["colour"])  # noqa: S101 - two tables of one world
