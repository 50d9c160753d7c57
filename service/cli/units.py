"""Figures as people say them."""

from __future__ import annotations

from datetime import timedelta


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
