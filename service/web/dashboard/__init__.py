"""The dashboard: pages rendered here, figures built here, a few plain scripts that keep them live."""

from __future__ import annotations

from fastapi import APIRouter

from service.web.dashboard import creating, experiment_comparison, installation, pages, sections

router = APIRouter(include_in_schema=False)
router.include_router(pages.router)
router.include_router(sections.router)
router.include_router(experiment_comparison.router)
router.include_router(creating.router)
router.include_router(installation.router)

__all__ = ["router"]
