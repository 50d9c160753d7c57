"""Routes: who has the workers."""

from __future__ import annotations

from fastapi import APIRouter

from service.reports.listings.worker_views import WorkersView
from service.reports.worker_shares import workers_view
from service.web.dependencies import Reading, ServicesHere

router = APIRouter(tags=["service"])


@router.get(
    "/workers", operation_id="listWorkers", summary="Say who has which workers", response_model=WorkersView
)
def list_workers(repository: Reading, services: ServicesHere) -> WorkersView:
    """Gives the experiments under way with their workers and what these are at, and those that wait."""
    return workers_view(repository, services.workforce)
