"""The pages of one experiment, one module each: a context, a route, a template."""

from __future__ import annotations

from fastapi import APIRouter

from service.web.dashboard.sections import (
    analysis,
    archive,
    candidates,
    compare,
    complementarity,
    export,
    front,
    inside,
    lineage,
    runs,
    samples,
    trying,
)

router = APIRouter(prefix="/e/{key}", include_in_schema=False)
for section in (
    front,
    candidates,
    inside,
    complementarity,
    samples,
    lineage,
    archive,
    runs,
    analysis,
    compare,
    trying,
    export,
):
    router.include_router(section.router)

__all__ = ["router"]
