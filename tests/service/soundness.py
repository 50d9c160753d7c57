"""What must hold of a database after anything that a test has done to its controllers."""

from __future__ import annotations

from typing import Any

from service.cli.installation.invariants_check import judged
from service.store.database import Database


def broken(database: Database, *, replay: bool = True) -> dict[str, Any]:
    """Returns the rows that break invariants, by the invariant's number: empty where all hold."""
    found = judged(database, replay=replay)
    return {verdict.invariant.id: list(verdict.rows) for verdict in found if not verdict.holds}
