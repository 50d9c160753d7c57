"""Invariants of what surrounds a search: exports, migrations, events, remembered answers, secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Text, and_, cast, func, or_, select
from sqlalchemy.orm import Session

from service.store.database import migration_config
from service.store.invariants.invariant import Invariant, Row
from service.store.models import CandidateRow, EventRow, ExperimentRow, ExportRow, IdempotencyKeyRow

_E, _X, _N = ExperimentRow, ExportRow, EventRow
_SECRET = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bsk-[A-Za-z0-9_-]{20,}|://[^/\s:@]+:[^/\s:@*]+@"
)
_MAYBE = ("%hf\\_%", "%gh__\\_%", "%sk-%", "%://%:%@%")  # what is worth a closer look

_HALF_DONE = (
    select(_E.name.label("experiment"), _X.id, _X.status, _X.target)
    .join(_E, _E.id == _X.experiment_id)
    .where(
        or_(
            and_(_X.status == "succeeded", or_(_X.digest.is_(None), _X.ended_at.is_(None))),
            (_X.status == "failed") != _X.failure.is_not(None),
            and_(_X.status.in_(("queued", "running", "cancelling")), _X.ended_at.is_not(None)),
        )
    )
)
_EXPORT_OF_NOTHING = (
    select(_E.name.label("experiment"), _X.id, _X.candidate_number)
    .join(_E, _E.id == _X.experiment_id)
    .outerjoin(
        CandidateRow,
        and_(CandidateRow.experiment_id == _X.experiment_id, CandidateRow.number == _X.candidate_number),
    )
    .where(CandidateRow.recipe.is_(None))
)
_FIRST = select(_N.experiment_id, func.min(_N.id).label("first")).group_by(_N.experiment_id).subquery()
_LATE_BEGINNING = (
    select(_E.name.label("experiment"), _N.id, _N.kind)
    .join(_FIRST, _FIRST.c.experiment_id == _E.id)
    .join(_N, _N.id == _FIRST.c.first)
    .where(_N.kind != "experiment.created")
)
_ODD_ANSWERS = select(IdempotencyKeyRow.key, IdempotencyKeyRow.status).where(
    or_(IdempotencyKeyRow.status < 200, IdempotencyKeyRow.status >= 500)
)


def _old_tables(session: Session) -> Iterator[Row]:
    """The database's version, unless it is the newest."""
    connection = session.connection()
    found = MigrationContext.configure(connection).get_current_revision()
    newest = ScriptDirectory.from_config(migration_config(connection)).get_current_head()
    if found != newest:
        yield {"version": found, "newest": newest}


def _secrets(session: Session) -> Iterator[Row]:
    """Events and failures that hold something with the form of a token, or a password in an address."""
    places = (
        ("events", _N.id, _N.payload),
        ("experiments", _E.name, _E.failure),
        ("candidates", CandidateRow.id, CandidateRow.failure),
        ("exports", _X.id, _X.failure),
    )
    for table, key, column in places:
        text = cast(column, Text)
        maybe = or_(*(text.like(pattern, escape="\\") for pattern in _MAYBE))
        for found, content in session.execute(select(key, column).where(maybe)):
            if _SECRET.search(json.dumps(content)):
                yield {"table": table, "row": str(found)}


INVARIANTS = (
    Invariant(
        "I14",
        "whole exports",
        "An export that succeeded has a digest and an end, one that failed says why, no other has ended.",
        (_HALF_DONE,),
        "what is visible of one under way: tests of killed exports",
    ),
    Invariant(
        "I15",
        "exports of candidates",
        "What is exported is a candidate that has a recipe.",
        (_EXPORT_OF_NOTHING,),
        "that weights answer as they were scored: every export checks it before it gets its name",
    ),
    Invariant("I17", "newest tables", "The tables have the newest version.", (_old_tables,)),
    Invariant(
        "I18",
        "events in order",
        "An experiment's first event is that it was created.",
        (_LATE_BEGINNING,),
        "what a client sees that comes back: tests of the event stream",
    ),
    Invariant(
        "I19",
        "answers once",
        "An answer that is remembered for a key is one that was given, and no failure of the service.",
        (_ODD_ANSWERS,),
    ),
    Invariant(
        "I24",
        "no secrets",
        "Events and failures hold no tokens, and no passwords in addresses.",
        (_secrets,),
        "logs and answers: tests with canaries",
    ),
)
