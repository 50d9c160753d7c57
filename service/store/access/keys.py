"""Keys: what is stored of them, which is never the key itself."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.errors import ConflictError, NotFoundError
from service.store.models import ApiKeyRow
from service.store.types import now

MARK = "em_"  # so that scanners for leaked secrets can find one
SHOWN = 8  # characters of a key that tell it from others
USE_INTERVAL = timedelta(minutes=1)  # between two notes of a key's use


def digest_of(key: str) -> str:
    """Returns what is stored of a key; keys are too random to be found by trying."""
    return hashlib.sha256(key.encode()).hexdigest()


def create_key(
    session: Session, name: str, role: str, *, expires_at: datetime | None = None
) -> tuple[ApiKeyRow, str]:
    """Makes a key; returns its row, and the key itself, which cannot be had again.

    Raises:
        ConflictError: The name is taken.
    """
    if session.scalar(select(ApiKeyRow.id).where(ApiKeyRow.name == name)) is not None:
        raise ConflictError(f"there is a key named {name!r}", "choose another name, or revoke that one first")
    key = MARK + secrets.token_urlsafe(32)
    row = ApiKeyRow(name=name, role=role, digest=digest_of(key), beginning=key[:SHOWN], expires_at=expires_at)
    session.add(row)
    session.flush()
    return row, key


def all_keys(session: Session) -> Sequence[ApiKeyRow]:
    """Returns all keys, the oldest first; revoked and expired ones as well."""
    return session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.id)).all()


def revoke_key(session: Session, name: str) -> ApiKeyRow:
    """Has a key open nothing any more; its name stays taken, so that the audit log stays clear.

    Raises:
        NotFoundError: There is no such key.
    """
    row = session.scalar(select(ApiKeyRow).where(ApiKeyRow.name == name))
    if row is None:
        raise NotFoundError("key", name)
    row.revoked_at = row.revoked_at or now()
    return row


def find_key(session: Session, digest: str) -> ApiKeyRow | None:
    """Returns the key with this digest if it opens anything now, and notes that it was used."""
    row = session.scalar(select(ApiKeyRow).where(ApiKeyRow.digest == digest))
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now()):
        return None
    if row.last_used_at is None or now() - row.last_used_at >= USE_INTERVAL:
        values = {"last_used_at": now()}
        session.execute(update(ApiKeyRow).where(ApiKeyRow.id == row.id).values(values))
    return row
