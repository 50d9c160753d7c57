"""Figures as people say them."""

from __future__ import annotations

import re
from datetime import timedelta

import typer

_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(
    r"\s*(?P<number>\d{1,15}(\.\d{1,15})?)\s*(?P<unit>([kmgt]i?)?)b?\s*", re.IGNORECASE | re.ASCII
)


def duration(seconds: float | None) -> str:
    """Returns a time as people say it: `1:02:03`."""
    return "–" if seconds is None else str(timedelta(seconds=round(seconds)))


def number(value: float | None) -> str:
    """Returns a score with four digits, or a dash."""
    return "–" if value is None else f"{value:.4f}"


def size(count: int) -> str:
    """Returns a number of bytes as people say it: `13.5 GB`."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.{0 if unit == 'bytes' else 1}f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def bytes_in(text: str) -> int:
    """Returns the bytes that a size such as `4GB` or `512MiB` names.

    Raises:
        typer.BadParameter: It names none.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no size; write it as 4GB or 512MB")
    return int(float(match["number"]) * _UNITS[match["unit"].lower()])
