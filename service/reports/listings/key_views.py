"""What is shown of keys and of the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from service.reports.views import View
from service.store.access.role import Role

if TYPE_CHECKING:  # the client reads views, and needs no database
    from service.store.models import ApiKeyRow, AuditRow


class KeyView(View):
    """A key, without what opens anything.

    Attributes:
        beginning: Its first characters, to tell it from others.
        last_used_at: To the minute.
    """

    id: UUID
    name: str
    role: Role
    beginning: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewKeyView(KeyView):
    """A key that was just made; `key` cannot be had again."""

    key: str


class MeView(View):
    """Whose key a request bears."""

    name: str
    role: Role


class KeysView(View):
    """All keys, the oldest first."""

    items: list[KeyView]


class AuditView(View):
    """A request that may have changed something: by whose key, and how it was answered."""

    id: int
    at: datetime
    key: str
    role: Role
    method: str
    path: str
    status: int
    address: str
    request_id: str


class AuditPage(View):
    """Some entries of the audit log, the newest first."""

    items: list[AuditView]
    next_page_token: str | None


def key_view(row: ApiKeyRow) -> KeyView:
    """Returns what is shown of a key."""
    return KeyView.model_validate({name: getattr(row, name) for name in KeyView.model_fields})


def audit_view(row: AuditRow) -> AuditView:
    """Returns an entry of the audit log."""
    return AuditView.model_validate({name: getattr(row, name) for name in AuditView.model_fields})
