"""A glance into an embedded database that takes milliseconds: for a shell that completes names."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

MOST_NAMES = 200


def experiment_names(file: Path) -> list[str] | None:
    """Returns the newest experiments' names; None where there is no such database.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    if not file.is_file():
        return None
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=0.2)) as database:
        rows = database.execute("SELECT name FROM experiments ORDER BY id DESC LIMIT ?", (MOST_NAMES,))
        return [str(name) for (name,) in rows]
