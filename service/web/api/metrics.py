"""Route: what Prometheus reads."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.web.api.health import missing
from service.web.dependencies import ServicesHere
from service.web.metrics import exposition

router = APIRouter(tags=["service"])


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Metrics."}},
)
def metrics(request: Request, services: ServicesHere) -> Response:
    """Gives experiments and exports by status, workers by experiment, and this service's requests."""
    text = exposition(
        request.app.state.metrics,
        services.database,
        limit=services.runner.limit,
        troubles=len(missing(services)),
    )
    return Response(text, media_type=CONTENT_TYPE_LATEST)
