"""Role: what a key is for."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a key opens.

    A viewer looks; an operator runs experiments and exports as well; an admin gives and revokes keys as
    well; a worker, or what watches machines, may ask only whether the service works.
    """

    WORKER = "worker"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
