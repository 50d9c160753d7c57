"""What may have been meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


def suggestion(name: str, known: Sequence[str]) -> str:
    """Returns a remedy for a name that is not known."""
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    some = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
    return f"use one of: {some}" if known else "there is none at all"
