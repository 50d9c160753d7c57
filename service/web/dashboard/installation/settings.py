"""Settings: how this installation is set up, its keys, and what was changed by whom.  For admins alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service.reports.listings.key_views import AuditView, KeyView, audit_view, key_view
from service.store.access.audit import entries
from service.store.access.keys import all_keys
from service.store.access.role import Role
from service.web.access.present import CALLER
from service.web.dashboard.rendering import Wanted, render
from service.web.dependencies import Reading, ServicesHere

MOST_ENTRIES = 50
router = APIRouter()


@dataclass(frozen=True, slots=True)
class SettingsContext:
    """The page of the settings.

    Attributes:
        settings: By the name of the variable in the environment; secrets say only whether they are set.
        entries: Of the audit log, the newest first.
        older: Where the log goes on; None at its end.
        caller: Whose key asks.
    """

    version: str
    settings: Sequence[tuple[str, str]]
    keys: Sequence[KeyView]
    entries: Sequence[AuditView]
    older: int | None
    caller: str
    roles: Sequence[str] = tuple(role.value for role in Role)
    twin: str = "/api/v1/audit"


@router.get("/settings")
def settings(repository: Reading, services: ServicesHere, wanted: Wanted) -> HTMLResponse:
    """Shows settings, keys and a page of the audit log."""
    before = wanted.get("before", "")
    start = int(before) if before.isascii() and before.isdecimal() and len(before) < 16 else None
    rows = entries(repository.session, limit=MOST_ENTRIES + 1, before=start)
    page = SettingsContext(
        version=version("evomerge"),
        settings=services.settings.told(),
        keys=[key_view(row) for row in all_keys(repository.session)],
        entries=[audit_view(row) for row in rows[:MOST_ENTRIES]],
        older=rows[MOST_ENTRIES - 1].id if len(rows) > MOST_ENTRIES else None,
        caller=CALLER.get().name,
    )
    return render("settings.html", page)
