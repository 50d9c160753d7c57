"""Pages about the installation: its workers, keys and REST interface, and what was changed."""

from __future__ import annotations

from fastapi import APIRouter

from service.web.dashboard.installation import interface, settings, workers

router = APIRouter(include_in_schema=False)
router.include_router(workers.router)
router.include_router(settings.router)
router.include_router(interface.router)

__all__ = ["router"]
