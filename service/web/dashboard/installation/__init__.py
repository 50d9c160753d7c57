"""Pages about the installation: who has which workers, its keys, and what was changed."""

from __future__ import annotations

from fastapi import APIRouter

from service.web.dashboard.installation import settings, workers

router = APIRouter(include_in_schema=False)
router.include_router(workers.router)
router.include_router(settings.router)

__all__ = ["router"]
