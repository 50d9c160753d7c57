"""Roles: what a key opens.  Pure: a request's method and path alone decide what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from service.store.access.role import Role

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Access(StrEnum):
    """What a request takes."""

    NOTHING = "nothing"
    MONITOR = "monitor"
    LOOK = "look"
    CHANGE = "change"
    ADMINISTER = "administer"


ALLOWED: Mapping[Role, frozenset[Access]] = {
    Role.WORKER: frozenset({Access.NOTHING, Access.MONITOR}),
    Role.VIEWER: frozenset({Access.NOTHING, Access.MONITOR, Access.LOOK}),
    Role.OPERATOR: frozenset({Access.NOTHING, Access.MONITOR, Access.LOOK, Access.CHANGE}),
    Role.ADMIN: frozenset(Access),
}
_OPEN = frozenset({"/healthz"})  # asked by supervisors that hold no key
_MONITORING = frozenset({"/readyz", "/version", "/metrics"})
_ADMINISTERED = ("/api/v1/keys", "/api/v1/audit", "/settings")


def access_to(method: str, path: str) -> Access:
    """Returns what a request takes; what is not known takes as much as its method can do."""
    if path in _OPEN:
        return Access.NOTHING
    if any(path == place or path.startswith(f"{place}/") for place in _ADMINISTERED):
        return Access.ADMINISTER
    if method not in SAFE_METHODS:
        return Access.CHANGE
    return Access.MONITOR if path in _MONITORING else Access.LOOK


def allows(role: Role, access: Access) -> bool:
    """Says whether a key of this role opens it."""
    return access in ALLOWED[role]
