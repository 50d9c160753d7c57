"""Routes outside the versioned interface: health, metrics and version."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import SQLAlchemyError

from service.store.repository import Repository
from service.web.api.problems import responses
from service.web.dependencies import Services, ServicesHere
from service.web.metrics import exposition
from service.web.problems import Problem, problem_response

router = APIRouter(tags=["service"])


class HealthView(BaseModel):
    """Says that the process answers."""

    model_config = ConfigDict(frozen=True)

    status: str = "ok"


class VersionView(BaseModel):
    """What runs here, and for which home: a command may be meant for another one's experiments."""

    model_config = ConfigDict(frozen=True)

    name: str = "evomerge"
    version: str
    home: str


@router.get("/healthz", operation_id="getHealth", summary="Whether the process answers")
def healthz() -> HealthView:
    """Answers without a key, for supervisors."""
    return HealthView()


@router.get(
    "/readyz",
    operation_id="getReadiness",
    summary="Whether the service can do its work",
    response_model=HealthView,
    responses=responses(503),
)
def readyz(request: Request, services: ServicesHere) -> Response:
    """Asks the database, and whether the threads that run experiments and exports live."""
    found = missing(services)
    if found:
        problem = Problem(503, "not_ready", "; ".join(found), "look at the service's log, then restart it")
        return problem_response(request.scope, problem)
    return JSONResponse({"status": "ok"})


def missing(services: Services) -> list[str]:
    """Returns why the service cannot do its work; nothing where it can."""
    found = []
    try:
        with services.database.reading() as session:
            Repository(session).last_event()
    except SQLAlchemyError:
        found.append("the database does not answer")
    if not services.runner.is_alive:
        found.append("the thread that runs experiments has ended")
    if not services.exporter.is_alive:
        found.append("the thread that exports has ended")
    if (trouble := services.runner.trouble or services.exporter.trouble) is not None:
        found.append(f"work was broken off and is tried again: {trouble}")
    if (trouble := services.workforce.trouble) is not None:
        found.append(f"the workers are away: {trouble}")
    return found


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


@router.get("/version", operation_id="getVersion", summary="Name, version and home of the service")
def get_version(services: ServicesHere) -> VersionView:
    """Says what runs here, and on which home."""
    return VersionView(version=version("evomerge"), home=str(services.settings.home.resolve()))
