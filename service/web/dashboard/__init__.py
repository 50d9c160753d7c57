"""The dashboard: pages rendered here, figures built here, a few plain scripts that keep them live."""

from __future__ import annotations

from service.web.dashboard.pages import router

__all__ = ["router"]
