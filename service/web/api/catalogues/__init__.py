"""Routes of what can be chosen from: tasks."""

from __future__ import annotations

from fastapi import APIRouter

from service.web.api.catalogues import tasks

router = APIRouter()
for part in (tasks,):
    router.include_router(part.router)

__all__ = ["router"]
