"""How experiments begin in the browser: an editor that says what is wrong while it is typed."""

from __future__ import annotations

from service.web.dashboard.creating.new_experiment import router

__all__ = ["router"]
