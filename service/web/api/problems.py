"""Turns every error into a problem: the service's own, the framework's, the database's."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from service.errors import Mistake, ServiceError, first_mistakes
from service.store.database import DATABASE_AWAY
from service.web.problems import MEDIA_TYPE, Problem, ProblemView, problem_response
from workers.errors import CheckpointError, NoSuchTaskError, PromptError, TaskError, WorkerError

logger = structlog.get_logger(__name__)

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
CODES = {
    HTTPStatus.NOT_FOUND: ("not_found", "see /docs for the addresses there are"),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method_not_allowed", "see /docs for what this address answers to"),
}
WORKER_STATUSES = (
    (CheckpointError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NoSuchTaskError, HTTPStatus.NOT_FOUND),
    (TaskError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (PromptError, HTTPStatus.UNPROCESSABLE_ENTITY),
)
_UNAVAILABLE = HTTPStatus.SERVICE_UNAVAILABLE


def add_problem_handlers(app: FastAPI) -> None:
    """Has the application answer every error with a problem."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(WorkerError, _worker_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    for error in DATABASE_AWAY:
        app.add_exception_handler(error, _database_error)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns what OpenAPI says of an operation's errors."""
    return {
        status: {
            "model": ProblemView,
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}}},
        }
        for status in statuses
    }


def _service_error(request: Request, error: Exception) -> Response:
    problem = Problem.of(error) if isinstance(error, ServiceError) else Problem.unforeseen()
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("service_error", code=problem.code, detail=problem.detail)
    return problem_response(request.scope, problem)


def _worker_error(request: Request, error: Exception) -> Response:
    detail, remedy = (error.detail, error.remedy) if isinstance(error, WorkerError) else (str(error), "")
    code = error.code if isinstance(error, WorkerError) else "worker_failed"
    logger.error("worker_error", code=code, detail=detail)
    status = next((of for kind, of in WORKER_STATUSES if isinstance(error, kind)), _UNAVAILABLE)
    return problem_response(request.scope, Problem(status, code, detail, remedy))


def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = str(error.detail) if isinstance(error, HTTPException) else str(error)
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    code, remedy = CODES.get(HTTPStatus(status), (HTTPStatus(status).name.lower(), ""))
    if status == HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {request.url.path}"
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.url.path} does not answer to {request.method}"
        headers["Allow"] = ", ".join(_verbs_at(request))
    return problem_response(request.scope, Problem(status, code, detail, remedy, headers=headers))


def _verbs_at(request: Request) -> list[str]:
    """Returns all that an address answers to: the framework names what its first route does."""
    return [verb for verb in VERBS if _answers(request, verb)]


def _answers(request: Request, verb: str) -> bool:
    scope = {**request.scope, "method": verb}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


def _invalid_request(request: Request, error: Exception) -> Response:
    details = error.errors() if isinstance(error, RequestValidationError) else []
    count = len(details)
    mistakes = first_mistakes([_mistake(detail) for detail in details])
    text = f"the request has {count} mistake{'s' if count != 1 else ''}: " + " | ".join(map(str, mistakes))
    remedy = "see /docs for what this address takes"
    return problem_response(request.scope, Problem(422, "invalid_request", text[:2000], remedy, mistakes))


def _mistake(detail: dict[str, Any]) -> Mistake:
    """Turns one of pydantic's findings into a mistake; a query's pointer begins with `/query`."""
    where = [str(part).replace("~", "~0").replace("/", "~1") for part in detail["loc"]]
    pointer = "".join(f"/{part}" for part in (where[1:] if where[:1] == ["body"] else where))
    given = detail.get("input")
    shown = f", got {given!r}"[:200] if isinstance(given, str | int | float | bool) else ""
    return Mistake(pointer, detail["type"], f"{detail['msg']}{shown}")


def _database_error(request: Request, error: Exception) -> Response:
    logger.error("database_unavailable", cause=str(getattr(error, "orig", error)))
    problem = Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "database_unavailable",
        "the database does not answer, or is busy",
        "try again in a moment; `evomerge doctor` says whether it can be reached",
        headers={"Retry-After": "2"},
    )
    return problem_response(request.scope, problem)
