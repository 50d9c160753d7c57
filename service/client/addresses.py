"""Where a service is asked for, and for what."""

from __future__ import annotations

import os
from uuid import UUID

from service.settings import DEFAULT_HOST, DEFAULT_PORT, address_of

DEFAULT_URL = address_of(DEFAULT_HOST, DEFAULT_PORT)


def usual_url() -> str:
    """Returns the address that the environment names; without one, where a service of this machine listens.

    EVOMERGE_HOST and EVOMERGE_PORT mean what they mean to the service.
    """
    port = os.environ.get("EVOMERGE_PORT", "")
    host = os.environ.get("EVOMERGE_HOST") or DEFAULT_HOST
    # With 0 the service takes any free port, which nothing here can tell.
    local = address_of(host, int(port) if port.isdecimal() and int(port) else DEFAULT_PORT)
    return os.environ.get("EVOMERGE_URL") or local


def experiment_at(key: str | UUID) -> str:
    """Returns an experiment's address below the service's; names may hold any character."""
    quoted = "".join(c if (c.isalnum() and c.isascii()) or c in "-_" else _percent(c) for c in str(key))
    return f"/api/v1/experiments/{quoted}"


def _percent(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "replace"))
