"""The audit log: who changed what, and how it was answered."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.models import AuditRow


def note(session: Session, row: AuditRow) -> None:
    """Adds an entry."""
    session.add(row)


def entries(session: Session, *, limit: int, before: int | None = None) -> Sequence[AuditRow]:
    """Returns entries, the newest first."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
    return session.scalars(query if before is None else query.where(AuditRow.id < before)).all()
