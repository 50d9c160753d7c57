"""Routes of candidates: they are listed and shown, tried again, and put into the queue."""

from __future__ import annotations

from fastapi import APIRouter

from service.web.api.candidates import recipe_queue, routes

router = APIRouter()
for part in (routes, recipe_queue):
    router.include_router(part.router)

__all__ = ["router"]
