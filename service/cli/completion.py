"""What a shell completes: experiments' names.  Quick and silent: it asks no service that takes its time."""

from __future__ import annotations

import os
from pathlib import Path

import typer

PATIENCE = 1.0  # seconds that a service has to answer


def names_that_begin(context: typer.Context, incomplete: str) -> list[str]:
    """Returns the names of experiments that begin with what is written; none where nothing is found."""
    try:
        return [name for name in _names(context) if name.startswith(incomplete)]
    except Exception:  # noqa: BLE001 - a shell that completes must not be shown what went wrong
        return []


def winner_that_begins(incomplete: str) -> list[str]:
    """Returns the one word that stands for a candidate."""
    return ["winner"] if "winner".startswith(incomplete) else []


def _names(context: typer.Context) -> list[str]:
    options = context.params
    url = options.get("server") or (None if options.get("home") else os.environ.get("EVOMERGE_URL"))
    if url is None:
        found = _names_in(options.get("home"))
        if found is not None:
            return found
    from service.client.client import Client  # slow to import, and mostly not needed

    with Client(url, options.get("api_key"), timeout=PATIENCE) as client:
        return [view.name for view in client.experiments().items]


def _names_in(home: Path | None) -> list[str] | None:
    """Returns the names in a home's own database; None where it has none, or another keeps them."""
    from service.store.names import experiment_names

    if os.environ.get("EVOMERGE_DATABASE_URL"):
        return None
    folder = home or Path(os.environ.get("EVOMERGE_HOME", "evomerge-runs"))
    return experiment_names(folder / "evomerge.db")
