"""Routes of candidates: they are listed and shown, put into the queue, and asked."""

from __future__ import annotations

from fastapi import APIRouter

from service.web.api.candidates import asking, recipe_queue, routes, samples

router = APIRouter()
for part in (routes, recipe_queue, asking, samples):
    router.include_router(part.router)

__all__ = ["router"]
