"""Who asks, for code that is not handed the request: pages show what the reader's key opens."""

from __future__ import annotations

from contextvars import ContextVar

from service.web.access.keyring import LOCAL, Caller
from service.web.access.roles import Access, allows

CALLER: ContextVar[Caller] = ContextVar("caller", default=LOCAL)
"""Set by the gatekeeper for the length of a request."""


def may(access: str) -> bool:
    """Says whether the key of the present request opens this: `change`, `administer`."""
    return allows(CALLER.get().role, Access(access))
