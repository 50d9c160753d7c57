"""Marks in a model card that the worker who writes the checkpoint fills in."""

from __future__ import annotations

VERIFIED = "<!-- verified -->"
"""Stands for what was found when the checkpoint was loaded and scored again."""


def filled_in(card: str, verified: str) -> str:
    """Returns a card with what was found."""
    said = verified[:1].upper() + verified[1:] if verified else "The files were not checked"
    return card.replace(VERIFIED, f"{said}.")
