"""`evomerge doctor --database`: does what must hold of a database hold of this one?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table
from sqlalchemy import Dialect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from service.cli.exits import Exit
from service.cli.terminal.output import CommandError, clean, data_console, say
from service.controller.replay import unlike_candidate
from service.store.database import Database
from service.store.invariants import INVARIANTS, REPLAY, Verdict, judge
from service.store.invariants.invariant import MOST_ROWS
from service.store.models import ExperimentRow


def check_invariants(url: str, *, replay: bool, as_json: bool) -> int:
    """Judges every invariant, and tells what breaks it; nothing is created or changed.

    Raises:
        CommandError: The database cannot be read.
    """
    if (path := make_url(url).database) and url.startswith("sqlite") and not Path(path).exists():
        raise CommandError(f"there is no database {path}", "correct the URL", code=Exit.NOT_FOUND)
    try:
        database = Database(url)
        try:
            verdicts = list(judged(database, replay=replay))
        finally:
            database.close()
    except (SQLAlchemyError, ImportError, OSError) as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        remedy = "give the URL of a database that evomerge has made"
        raise CommandError(f"the database cannot be read: {said}", remedy, code=Exit.UNREACHABLE) from error
    if as_json:
        say(
            json.dumps(
                [_json(verdict, database.engine.dialect) for verdict in verdicts], indent=2, default=str
            )
        )
    else:
        data_console().print(_table(verdicts))
    return Exit.OK if all(verdict.holds for verdict in verdicts) else Exit.FAILED


def judged(database: Database, *, replay: bool = False) -> Iterator[Verdict]:
    """Yields what was found about each invariant; `replay` asks for every candidate once more."""
    for invariant in INVARIANTS.values():
        if invariant is REPLAY and replay:
            yield _replayed(database)
        else:
            with database.reading() as session:
                yield judge(invariant, session)


def _replayed(database: Database) -> Verdict:
    rows = []
    with database.reading() as session:
        experiments = session.execute(select(ExperimentRow.id, ExperimentRow.name)).all()
    for key, name in experiments:
        if (number := unlike_candidate(database, key)) is not None:
            rows.append({"experiment": name, "number": number})
    proof = replace(REPLAY, queries=(unlike_candidate,))
    return Verdict(proof, tuple(rows[:MOST_ROWS]), len(rows))


def _json(verdict: Verdict, dialect: Dialect) -> dict[str, Any]:
    invariant = verdict.invariant
    return {
        "id": invariant.id,
        "name": invariant.name,
        "sentence": invariant.sentence,
        "queries": invariant.sql(dialect),
        "elsewhere": invariant.elsewhere,
        "holds": verdict.holds if invariant.queries else None,
        "count": verdict.count,
        "rows": list(verdict.rows),
    }


def _table(verdicts: list[Verdict]) -> Table:
    table = Table("", "what must hold", "", box=None, pad_edge=False)
    for verdict in verdicts:
        invariant = verdict.invariant
        if not invariant.queries:
            table.add_row(invariant.id, invariant.sentence, f"not in rows: {invariant.elsewhere}")
            continue
        found = "holds" if verdict.holds else f"broken by {verdict.count} rows"
        table.add_row(invariant.id, invariant.sentence, found, style=None if verdict.holds else "red")
        for row in verdict.rows:
            table.add_row("", "", clean(", ".join(f"{name} {value}" for name, value in row.items())))
    return table
