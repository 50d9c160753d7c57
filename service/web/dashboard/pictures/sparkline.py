"""A course of numbers as a line in a tile: its shape alone, without axes."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT, EDGE = 96.0, 22.0, 2.0


def sparkline(values: Sequence[float | None]) -> str:
    """Returns the points of an SVG polyline in a box of `WIDTH` by `HEIGHT`; empty for less than two."""
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    low, high = min(value for _, value in known), max(value for _, value in known)
    span = (high - low) or 1.0
    step = (WIDTH - 2 * EDGE) / (len(values) - 1)
    return " ".join(
        f"{EDGE + place * step:.1f},{HEIGHT - EDGE - (value - low) / span * (HEIGHT - 2 * EDGE):.1f}"
        for place, value in known
    )
