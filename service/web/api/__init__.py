"""The REST interface, version 1.  Routes parse, call and return; they decide nothing."""

from __future__ import annotations

from fastapi import APIRouter

from service.web.api import (
    candidates,
    catalogues,
    events,
    experiment_parts,
    experiments,
    exports,
    keys,
    lifecycle,
)

router = APIRouter(prefix="/api/v1")
for part in (experiments, lifecycle, experiment_parts, candidates, events, exports, catalogues, keys):
    router.include_router(part.router)

__all__ = ["router"]
