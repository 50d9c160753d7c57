"""Routes: keys are made, listed and revoked; what was changed is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from service.reports.listings.key_views import (
    AuditPage,
    KeysView,
    KeyView,
    MeView,
    NewKeyView,
    audit_view,
    key_view,
)
from service.store.access.audit import entries
from service.store.access.keys import all_keys, create_key, revoke_key
from service.store.access.role import Role
from service.web.access.keyring import Caller
from service.web.api.pages import PageWanted, cut_to
from service.web.api.problems import responses
from service.web.dependencies import Reading, Writing

router = APIRouter(tags=["keys"])

LONGEST_LIFE = 3650  # days


class WantedKey(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "grafana", "role": "viewer", "days": 90}]}
    )

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$")]
    role: Role = Role.VIEWER
    days: Annotated[float | None, Field(gt=0, le=LONGEST_LIFE, description="Until it expires.")] = None


@router.post(
    "/keys",
    operation_id="createKey",
    summary="Make a key",
    status_code=201,
    response_model=NewKeyView,
    responses=responses(409, 422),
)
def create(wanted: WantedKey, repository: Writing) -> NewKeyView:
    """Makes a key with a role; the answer is the only place where it stands in full."""
    expires_at = datetime.now(UTC) + timedelta(days=wanted.days) if wanted.days is not None else None
    row, key = create_key(repository.session, wanted.name, wanted.role, expires_at=expires_at)
    return NewKeyView(**key_view(row).model_dump(), key=key)


@router.get("/keys", operation_id="listKeys", summary="List the keys", response_model=KeysView)
def list_keys(repository: Reading) -> KeysView:
    """Gives all keys with their roles, and when each was used last; revoked ones as well."""
    return KeysView(items=[key_view(row) for row in all_keys(repository.session)])


@router.delete(
    "/keys/{name}",
    operation_id="revokeKey",
    summary="Revoke a key",
    response_model=KeyView,
    responses=responses(404),
)
def revoke(name: str, repository: Writing) -> KeyView:
    """Has a key open nothing any more, in all controllers within seconds."""
    return key_view(revoke_key(repository.session, name))


@router.get("/me", operation_id="getMe", summary="Say whose key this is", response_model=MeView)
def me(request: Request) -> MeView:
    """Gives the name and role of the key that the request bears; without keys, of this machine."""
    caller = cast("Caller", request.state.caller)
    return MeView(name=caller.name, role=caller.role)


@router.get(
    "/audit",
    operation_id="listAudit",
    summary="List what was changed, by whose key",
    response_model=AuditPage,
    responses=responses(422),
)
def audit(page: PageWanted, repository: Reading) -> AuditPage:
    """Gives the requests that may have changed something, the newest first."""
    before = page.number(0) or None
    rows = entries(repository.session, limit=page.size + 1, before=before)
    shown, token = cut_to(rows, page.size, lambda row: row.id)
    return AuditPage(items=[audit_view(row) for row in shown], next_page_token=token)
