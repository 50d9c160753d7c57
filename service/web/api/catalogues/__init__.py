"""Routes of what can be chosen from, and of who works: tasks, methods, models, workers."""

from __future__ import annotations

from fastapi import APIRouter

from service.web.api.catalogues import methods, tasks, workers

router = APIRouter()
for part in (tasks, methods, workers):
    router.include_router(part.router)

__all__ = ["router"]
